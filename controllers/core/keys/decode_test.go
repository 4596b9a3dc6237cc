// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// Decode accepts any bytes in any key. Each host comes once, in natural order, with a valid name.
func TestDecode_AcceptsAnyBytes(t *testing.T) {
	var l keys.Layout
	garbage := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 40), rapid.SampledFrom([][]byte{
		[]byte("True"), []byte("False"), []byte(`{"by":"controller","time":"9999-12-31T23:59:59Z"}`), []byte(`{"time":7}`),
		[]byte(`{"exempt":true,"expires":"x"}`), []byte("null"), []byte("1e400"), []byte("99999999999999999999")}))
	rapid.Check(t, func(t *rapid.T) {
		list := func(tree string) (out []keys.Pair) {
			names := rapid.SliceOfN(rapid.OneOf(rapid.StringMatching(`(host/|role/|v1/)?[a-z]{0,3}[0-9]?(/enable_puppet)?`),
				rapid.String()), 0, 4).Draw(t, "names below "+tree)
			for _, name := range names {
				out = append(out, keys.Pair{Key: tree + name, Value: garbage.Draw(t, "value"), Flags: rapid.Uint64().Draw(t, "flags"),
					CreateIndex: rapid.Uint64().Draw(t, "created"), ModifyIndex: rapid.Uint64Min(1).Draw(t, "modified")})
			}
			return out
		}
		raw := keys.Snapshot{Current: keys.Pair{Value: garbage.Draw(t, "version"), ModifyIndex: rapid.Uint64Range(0, 2).Draw(t, "index")},
			Config: append(list(l.ConfigState()), list(l.EnableTree())...), Records: list(l.RecordTree()),
			Started: list(l.StartedTree()), Reports: list(l.ReportTree()), Holds: list(l.HoldTree())}
		for _, p := range raw.Records {
			raw.RecordKeys = append(raw.RecordKeys, p.Key)
		}
		keys.WantedRecords(raw, l)
		f := keys.Decode(raw, l, keys.Options{Now: time.Unix(1e9, 0)})
		for i := range f.Hosts {
			h := &f.Hosts[i]
			if !keys.ValidSegment(h.Name) || i > 0 && fleet.CompareNatural(f.Hosts[i-1].Name, h.Name) >= 0 {
				t.Fatalf("%q at %d", h.Name, i)
			}
			if h.Started != nil { // a decoded marker can be encoded
				keys.EncodeStarted(*h.Started)
			}
			if h.Setting.Granted < 0 || h.Setting.Granted > 1<<40 {
				t.Fatalf("granted at %d", h.Setting.Granted)
			}
		}
		c := l.Changes(keys.Actual(raw, l), fleet.Desired{Version: "v1"})
		_ = c.String()
	})
}

func TestDecodeTime(t *testing.T) {
	for text, want := range map[string]int64{"1457267100": 1457267100, "1457267100.52": 1457267100, " 1457267100\n": 1457267100} { //nolint:gocritic // hosts write white space
		if got := keys.DecodeTime([]byte(text)); got.Unix() != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	for _, text := range []string{"", "x", "-5", "0", "99999999999999", "1e9"} {
		if got := keys.DecodeTime([]byte(text)); !got.IsZero() {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// Only hosts with records of two versions, or with a started marker of the controller, need their values.
func TestWantedRecords(t *testing.T) {
	var l keys.Layout
	marker := func(host, by string) keys.Pair {
		return keys.Pair{Key: l.Started(host), Value: keys.EncodeStarted(fleet.Started{By: by}), ModifyIndex: 1}
	}
	raw := keys.Snapshot{RecordKeys: []string{l.Record("v1", "a1"), l.Record("v1", "b1"), l.Record("v1", "c1"), l.Record("v1", "d1"),
		l.Record("v2", "b1"), l.Record("v2", "c1"), l.Record("v3", "b1")},
		Started: []keys.Pair{marker("a1", ""), marker("c1", fleet.ByController), marker("d1", fleet.ByController)}}
	want := []string{l.Record("v1", "b1"), l.Record("v1", "c1"), l.Record("v1", "d1"), l.Record("v2", "b1"), l.Record("v2", "c1"), l.Record("v3", "b1")}
	if got := keys.WantedRecords(raw, l); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// The keys of one transaction share a ModifyIndex, so the later time decides.
func TestDecode_LaterTimeBreaksIndexTie(t *testing.T) {
	var l keys.Layout
	for _, late := range []string{"v1", "v2"} {
		pair := func(version string) keys.Pair {
			value := "100"
			if version == late {
				value = "200"
			}
			return keys.Pair{Key: l.Record(version, "web1"), Value: []byte(value), ModifyIndex: 7}
		}
		raw := keys.Snapshot{RecordKeys: []string{l.Record("v1", "web1"), l.Record("v2", "web1")}, Records: []keys.Pair{pair("v1"), pair("v2")}}
		if got := keys.Decode(raw, l, keys.Options{}).Hosts[0].Record.Version; got != late {
			t.Errorf("got %s, want %s, which has the later time", got, late)
		}
	}
}

// Impossible flags do not wrap into the past, where the host would fail immediately.
func TestDecodeEnableValue_BoundsGrantTime(t *testing.T) {
	for _, flags := range []uint64{1 << 62, 1<<63 + 5, 1<<64 - 1} {
		s := keys.DecodeEnableValue(keys.Pair{Value: []byte("True"), Flags: flags, ModifyIndex: 1})
		if at := time.Unix(s.Granted, 0); at.Before(time.Unix(1<<35, 0)) || at.Year() > 1e6 {
			t.Errorf("flags %d: granted at %s", flags, at)
		}
	}
}
