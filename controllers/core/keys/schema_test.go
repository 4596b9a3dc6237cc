// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

func stored(value []byte) keys.Pair {
	return keys.Pair{Key: "upgrade.jiocloud.com/object", Value: value, CreateIndex: 1, ModifyIndex: 7}
}

// withoutErr is a decoder that reports no error.
func withoutErr[T any](decode func(keys.Pair) T) func(keys.Pair) (any, error) {
	return func(p keys.Pair) (any, error) { return decode(p), nil }
}

func withErr[T any](decode func(keys.Pair) (T, error)) func(keys.Pair) (any, error) {
	return func(p keys.Pair) (any, error) { return decode(p) }
}

func TestStoredObjects_CarryTheirSchema(t *testing.T) {
	noon := time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)
	for _, e := range []struct {
		kind   string
		value  []byte
		decode func(keys.Pair) (any, error)
		// later is what an object of a later schema decodes to. Nil means a *SchemaError.
		later any
	}{
		{"control", keys.EncodeControl(fleet.Control{Pause: &fleet.Pause{By: "ops"}}), withErr(keys.DecodeControl), nil},
		{"empty control", keys.EncodeControl(fleet.Control{}), withErr(keys.DecodeControl), nil},
		{"ledger", keys.EncodeLedger(fleet.Ledger{Counter: 3, Rollout: 2}), withErr(keys.DecodeLedger), nil},
		{"manager", keys.EncodeOrigin(fleet.Origin{Source: "git", Path: "a.yaml"}), withErr(keys.DecodeOrigin), nil},
		{"grant", keys.EncodeGrant(fleet.Grant{Rollout: 2, Version: "v2", ID: "2.1", Time: noon}), withoutErr(keys.DecodeGrant),
			&fleet.Grant{Index: 7}},
		{"started marker", keys.EncodeStarted(fleet.Started{Version: "v2", Time: noon}), withoutErr(keys.DecodeStarted),
			&fleet.Started{Index: 7}},
		{"hold", keys.EncodeHold(fleet.Hold{Reason: "disk", Expires: noon}), withoutErr(keys.DecodeHold),
			&fleet.Hold{Reason: "upgrade.jiocloud.com/object has schema 9, and this program knows 1: upgrade it"}},
		{"event", keys.EncodeEvent(fleet.Event{Number: 3, Reason: "Granted", Time: noon}),
			withoutErr(func(p keys.Pair) []fleet.Event { return keys.DecodeEvents([]keys.Pair{p}) }), []fleet.Event{}},
	} {
		t.Run(e.kind, func(t *testing.T) {
			value := string(e.value)
			want, err := e.decode(stored(e.value))
			if !strings.HasPrefix(value, `{"schema":1`) || err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			old := strings.NewReplacer(`"schema":1,`, "", `"schema":1`, "").Replace(value) // as the previous release wrote it
			got, err := e.decode(stored([]byte(old)))
			if d := cmp.Diff(want, got); d != "" || err != nil || old == value {
				t.Errorf("%s: %v %s", old, err, d)
			}
			later := []byte(strings.Replace(value, `"schema":1`, `"schema":9`, 1))
			got, err = e.decode(stored(later))
			if e.later != nil {
				if d := cmp.Diff(e.later, got); d != "" {
					t.Errorf("%s: %s", later, d)
				}
				return
			}
			failure, ok := errors.AsType[*keys.SchemaError](err)
			if !ok || failure.Has != 9 || failure.Knows != keys.Schema {
				t.Errorf("%s: %v", later, err)
			}
		})
	}
}

// The fields of a later report may mean something else. Its agent knows grants, as agents of this release do.
func TestDecodeReport_OfALaterSchemaCannotBeRead(t *testing.T) {
	r := keys.DecodeReport(stored([]byte(`{"schema":3,"role":"web","version":"v2","phase":"Idle","rollout":9}`)))
	want := fleet.Report{Schema: fleet.ReportSchema, Message: "the report cannot be read: upgrade.jiocloud.com/object has schema 3, " +
		"and this program knows 2: upgrade it"}
	if r == nil || *r != want {
		t.Errorf("%+v", r)
	}
}

func TestEncodeAction_IsThatOfThePreviousRelease(t *testing.T) {
	if got := string(keys.EncodeAction(fleet.Action{Version: "v2", Name: "reboot"})); strings.Contains(got, "schema") {
		t.Errorf("%s", got)
	}
	later := keys.DecodeAction(stored([]byte(`{"schema":2,"version":"v2","name":"reboot"}`)))
	if later == nil || later.Version != "" {
		t.Errorf("%+v", later)
	}
}
