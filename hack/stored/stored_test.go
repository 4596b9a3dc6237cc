// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stored_test reads the stored objects of every release, which are in testdata/RELEASE. With -update it writes those of the
// current release. Start reading at objects.
package stored_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

var update = flag.Bool("update", false, "write the objects of the current release")

// release is the one that is being made. Increase it after each release, and keep the files of the earlier ones.
const release = "v0.2"

// object is one kind of stored object.
type object struct {
	key string
	// write returns one in which every field is set, as this release stores it.
	write func(t *testing.T) []byte
	// read decodes one with the decoder of the programs, and returns it as JSON.
	read func(t *testing.T, p keys.Pair) (any, error)
}

var layout = keys.Layout{}

func objects() map[string]object {
	const plan = keys.Plan("fleet")
	return map[string]object{
		"report": {layout.Report("web1"), func(*testing.T) []byte {
			r := filled[fleet.Report]()
			r.Schema = fleet.ReportSchema
			return keys.EncodeReport(r)
		}, func(_ *testing.T, p keys.Pair) (any, error) { return keys.DecodeReport(p), keys.ReportProblem(p) }},
		"started": {layout.Started("web1"), func(*testing.T) []byte { return keys.EncodeStarted(filled[fleet.Started]()) },
			func(_ *testing.T, p keys.Pair) (any, error) { return keys.DecodeStarted(p), nil }},
		"grant": {layout.Grant("web1"), func(*testing.T) []byte { return keys.EncodeGrant(filled[fleet.Grant]()) },
			func(_ *testing.T, p keys.Pair) (any, error) { return keys.DecodeGrant(p), nil }},
		"hold": {layout.HoldHost("web1"), func(*testing.T) []byte { return keys.EncodeHold(filled[fleet.Hold]()) },
			func(_ *testing.T, p keys.Pair) (any, error) { return keys.DecodeHold(p), nil }},
		"action": {layout.Action(), func(*testing.T) []byte { return keys.EncodeAction(filled[fleet.Action]()) },
			func(_ *testing.T, p keys.Pair) (any, error) { return keys.DecodeAction(p), nil }},
		"control": {plan.Control(), func(*testing.T) []byte { return keys.EncodeControl(filled[fleet.Control]()) },
			func(_ *testing.T, p keys.Pair) (any, error) { return decoded(keys.DecodeControl(p)) }},
		"ledger": {plan.Ledger(), func(*testing.T) []byte { return keys.EncodeLedger(filled[fleet.Ledger]()) },
			func(_ *testing.T, p keys.Pair) (any, error) { return decoded(keys.DecodeLedger(p)) }},
		"manager": {plan.Manager(), func(*testing.T) []byte { return keys.EncodeOrigin(filled[fleet.Origin]()) },
			func(_ *testing.T, p keys.Pair) (any, error) { return decoded(keys.DecodeOrigin(p)) }},
		"event": {plan.Event(1), func(*testing.T) []byte { return keys.EncodeEvent(filled[fleet.Event]()) },
			func(_ *testing.T, p keys.Pair) (any, error) {
				events := keys.DecodeEvents([]keys.Pair{p})
				if len(events) != 1 {
					return nil, errors.New("no event")
				}
				return events[0], nil
			}},
		"audit-entry": {audit.EntryKey("fleet", 1), func(*testing.T) []byte {
			e := filled[audit.Entry]()
			e.Number, e.Plan, e.Previous = 1, "fleet", "" // the first one of a log
			return e.Encode()
		},
			func(_ *testing.T, p keys.Pair) (any, error) {
				var e struct{ Hash string }
				if err := json.Unmarshal(p.Value, &e); err != nil {
					return nil, err
				}
				head := keys.Pair{Key: audit.HeadKey("fleet"), Value: audit.Head{Number: 1, Hash: e.Hash}.Encode(), ModifyIndex: 1 << 40}
				entries, err := audit.Verify("fleet", []keys.Pair{p, head})
				if err != nil || len(entries) != 1 {
					return nil, fmt.Errorf("%d entries: %w", len(entries), err)
				}
				return entries[0], nil
			}},
		"audit-head": {audit.HeadKey("fleet"), func(*testing.T) []byte { return filled[audit.Head]().Encode() },
			func(_ *testing.T, p keys.Pair) (any, error) { return decoded(audit.DecodeHead(p)) }},
		"spec": {plan.Spec(), writeSpec, func(_ *testing.T, p keys.Pair) (any, error) { return decoded(planstore.DecodePlan("fleet", p)) }},
		"status": {plan.Status(), func(t *testing.T) []byte { return marshal(t, filled[v1alpha1.UpgradePlanStatus]()) },
			func(_ *testing.T, p keys.Pair) (any, error) { return planstore.DecodeStatus(p), nil }},
		"source": {keys.Source("fleet"), func(*testing.T) []byte {
			s := filled[gitsync.Status]()
			s.Source.Name, s.Base = "fleet", strings.Repeat("a", 40)
			return keys.EncodeObject(s)
		}, func(_ *testing.T, p keys.Pair) (any, error) {
			s, ok := gitsync.DecodeStatus(p)
			if !ok {
				return nil, errors.New("it cannot be read")
			}
			return s, nil
		}},
		"leader": {keys.Leader, func(t *testing.T) []byte { return marshal(t, filled[leaderelection.LockHeldError]()) },
			func(t *testing.T, p keys.Pair) (any, error) {
				t.Helper()
				return decoded(leaderelection.LockHolder(t.Context(), lockedStore(t, p), keys.Leader))
			}},
		"controller": {keys.Controllers + "1", func(*testing.T) []byte { return keys.EncodeObject(filled[leaderelection.Registration]()) },
			func(t *testing.T, p keys.Pair) (any, error) {
				t.Helper()
				found, _, err := leaderelection.Controllers(t.Context(), lockedStore(t, p))
				if err != nil || len(found) != 1 {
					return nil, fmt.Errorf("%d controllers: %w", len(found), err)
				}
				return found[0].Registration, nil
			}},
	}
}

func decoded[T any](v T, err error) (any, error) { return v, err }

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// writeSpec stores the plan of a sample.
func writeSpec(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("../../config/samples/careful.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents, err := manifest.Decode("careful.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	s := memory.New(func() time.Time { return time.Unix(1_772_800_000, 0) })
	if _, _, err := (planstore.Plans{Store: s}).Apply(t.Context(), documents[0].Plan, false); err != nil {
		t.Fatal(err)
	}
	pairs, _, err := s.Get(t.Context(), keys.Plan("fleet").Spec())
	if err != nil {
		t.Fatal(err)
	}
	return pairs[0].Value
}

// lockedStore is a store with one key, which a session locks.
func lockedStore(t *testing.T, p keys.Pair) *memory.Store {
	t.Helper()
	s := memory.New(time.Now)
	session, err := s.CreateSession(t.Context(), store.SessionOptions{TTL: time.Hour})
	if err == nil {
		_, err = s.Txn(t.Context(), []store.Op{{Verb: store.Lock, Key: p.Key, Value: p.Value, Session: session}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// filled returns a value in which every field that is stored is set.
func filled[T any]() T {
	var v T
	number := 0
	fill(reflect.ValueOf(&v).Elem(), &number)
	return v
}

func fill(v reflect.Value, number *int) {
	*number++
	at := time.Unix(1_772_800_000+int64(*number), 0).UTC()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(at))
		return
	case metav1.Time:
		v.Set(reflect.ValueOf(metav1.NewTime(at)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("v%d", *number))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*number))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*number)) //nolint:gosec // it counts up
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(*number))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), number)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), number)
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element, number)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("web1").Convert(v.Type().Key()), element)
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Tag.Get("json") != "-" {
				fill(v.Field(i), number)
			}
		}
	}
}

// lost returns the fields of a stored object that are not in what was read, by their paths.
func lost(path string, was, is any) []string {
	switch was := was.(type) {
	case map[string]any:
		read, ok := is.(map[string]any)
		if !ok {
			return []string{path}
		}
		var all []string
		for name, value := range was {
			if name != "schema" { // which decoders check and remove
				all = append(all, lost(path+"."+name, value, read[name])...)
			}
		}
		slices.Sort(all)
		return all
	case []any:
		read, ok := is.([]any)
		if !ok || len(read) != len(was) {
			return []string{path}
		}
		var all []string
		for i := range was {
			all = append(all, lost(fmt.Sprintf("%s[%d]", path, i), was[i], read[i])...)
		}
		return all
	}
	if !reflect.DeepEqual(was, is) {
		return []string{path}
	}
	return nil
}

func parse(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestStored_ObjectsOfEveryReleaseAreRead decodes what each release stored. No field may be lost.
func TestStored_ObjectsOfEveryReleaseAreRead(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	all := objects()
	for _, file := range files {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			o, ok := all[strings.TrimSuffix(filepath.Base(file), ".json")]
			if !ok {
				t.Fatal("no decoder")
			}
			value, err := o.read(t, keys.Pair{Key: o.key, Value: []byte(strings.TrimSpace(string(data))), CreateIndex: 1, ModifyIndex: 1 << 40})
			if err != nil {
				t.Fatal(err)
			}
			if fields := lost("", parse(t, data), parse(t, marshal(t, value))); len(fields) > 0 {
				t.Errorf("these fields are lost or changed: %q", fields)
			}
		})
	}
}

// TestStored_ObjectsOfThisReleaseAreRecorded fails when this release stores an object in another way than its files say.
func TestStored_ObjectsOfThisReleaseAreRecorded(t *testing.T) {
	for name, o := range objects() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", release, name+".json")
			data := o.write(t)
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			recorded, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(recorded)) != string(data) {
				t.Errorf("this release stores\n%s\nand %s has\n%s\nwrite it again with go test ./hack/stored -update", data, file, recorded)
			}
		})
	}
}
