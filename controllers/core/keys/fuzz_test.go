// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// checkText fails if a text could harm a reader.
func checkText(t *testing.T, most int, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if len(s) > 3*most { // a replaced byte has three
			t.Errorf("%d bytes, of at most %d", len(s), most)
		}
		if i := strings.IndexFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }); i >= 0 {
			t.Errorf("%q has a control character at %d", s, i)
		}
	}
}

// FuzzDecode decodes each kind of object that others write.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"", "{}", "null", "True", "v2", "1772800000.5", `{"schema":3}`, `{"schema":2,"role":"web","version":"v1",` +
		`"phase":"Failed","message":"\u001b]0;x\u0007","reached":{"version":"v1","index":7,"grant":"1.2.3"},"otherMachine":{"duplicate":true}}`,
		`{"schema":1,"rollout":1,"version":"v2","time":"2026-03-06T12:00:00Z","id":"1.2.3"}`, `{"version":"v2","by":"controller","attempt":3}`,
		`{"reason":"\u202e","owner":"ops","expires":"2026-03-06T12:00:00Z"}`, `{"pause":{"by":"\u009b"},"setAside":{"web1":{"rollout":1}}}`,
		`{"counter":7,"roles":["db"],"watermarks":[{"index":1,"time":2}],"base":{"hosts":4,"legacy":1,"counter":6}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		p := keys.Pair{Key: "key", Value: value, CreateIndex: 1, ModifyIndex: 1}
		r := keys.DecodeReport(p)
		checkText(t, keys.MaxName, r.Role, r.Version, string(r.Phase), r.Machine, r.Reason, r.Reached.Version, r.Reached.Grant)
		checkText(t, keys.MaxMessage, r.Message)
		m, g, h := keys.DecodeStarted(p), keys.DecodeGrant(p), keys.DecodeHold(p)
		checkText(t, keys.MaxName, m.Version, m.From, m.By, m.Grant, h.Owner, h.Plan)
		checkText(t, keys.MaxMessage, h.Reason)
		if len(g.ID) > keys.MaxName || len(g.Version) > keys.MaxName {
			t.Errorf("%+v", g)
		}
		if c, err := keys.DecodeControl(p); err == nil && c.Pause != nil {
			checkText(t, keys.MaxMessage, c.Pause.By, c.Pause.Reason)
		}
		if l, err := keys.DecodeLedger(p); err == nil {
			checkText(t, keys.MaxName, l.Roles...)
		}
		checkText(t, keys.MaxName, keys.DecodeEnableValue(p).Text, keys.DecodeVersion(value))
		if at := keys.DecodeTime(value); !at.IsZero() && at.Before(time.Unix(1, 0)) {
			t.Errorf("%s", at)
		}
		keys.DecodePause(p)
		keys.DecodeAction(p)
		keys.DecodeEvents([]keys.Pair{p})
	})
}

// FuzzDecode_Keys decodes a fleet with names and values that others wrote.
func FuzzDecode_Keys(f *testing.F) {
	f.Add("v1/web1", "web1", []byte(`{"schema":2,"version":"v1","phase":"Idle"}`))
	f.Add("v1", "", []byte("x"))
	f.Add("/\xff/\x1b", "../web1", []byte{})
	f.Fuzz(func(t *testing.T, record, host string, value []byte) {
		l := keys.Layout{}
		pair := func(key string) keys.Pair { return keys.Pair{Key: key, Value: value, CreateIndex: 2, ModifyIndex: 3} }
		s := keys.Snapshot{Current: pair(l.CurrentVersion()), RecordKeys: []string{l.RecordTree() + record},
			Records: []keys.Pair{pair(l.RecordTree() + record)}, Reports: []keys.Pair{pair(l.Report(host))},
			Started: []keys.Pair{pair(l.Started(host))}, Grants: []keys.Pair{pair(l.Grant(host))},
			Holds: []keys.Pair{pair(l.HoldHost(host))}, Config: []keys.Pair{pair(l.EnableHost(host)), pair(l.PauseHost(host))}}
		decoded := keys.Decode(s, l, keys.Options{Now: time.Unix(1_772_800_000, 0)})
		for i := range decoded.Hosts {
			h := &decoded.Hosts[i]
			if !keys.ValidName(h.Name) || h.Role != "" && !keys.ValidRole(h.Role) {
				t.Errorf("host %q of role %q", h.Name, h.Role)
			}
		}
		checkText(t, 1<<10, decoded.Notes...)
		if _, ok := decoded.Host(host); ok && !keys.ValidSegment(host) {
			t.Errorf("%q is a host", host)
		}
		_ = fleet.RoleOf(host)
	})
}
