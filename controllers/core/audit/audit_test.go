// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

// journal is a stored audit log, and the state that it covers.
type journal struct {
	head  audit.Head
	state audit.State
	pairs map[string]keys.Pair
	index uint64
}

func newJournal() *journal {
	j := &journal{pairs: map[string]keys.Pair{}, state: audit.State{Plan: "fleet", HoldTree: keys.Layout{}.HoldTree()}}
	j.spec("v1")
	j.control(fleet.Control{})
	return j
}

func (j *journal) pair(key string, value []byte) keys.Pair {
	j.index++
	return keys.Pair{Key: key, Value: value, ModifyIndex: j.index}
}

func (j *journal) spec(text string) { j.state.Spec = j.pair(keys.Plan("fleet").Spec(), []byte(text)) }

func (j *journal) control(c fleet.Control) {
	j.state.Control = j.pair(keys.Plan("fleet").Control(), keys.EncodeControl(c))
}

func (j *journal) hold(place string, h fleet.Hold) {
	j.state.Holds = append(j.state.Holds, j.pair(j.state.HoldTree+place, keys.EncodeHold(h)))
}

// pass adds what changed to the log, and returns the entries as "Kind: what".
func (j *journal) pass(noted ...audit.Entry) []string {
	entries, next := j.head.Next(j.state, noon, noted...)
	var lines []string
	for _, e := range entries {
		j.pairs[audit.EntryKey("fleet", e.Number)] = j.pair(audit.EntryKey("fleet", e.Number), e.Encode())
		delete(j.pairs, audit.EntryKey("fleet", e.Number-audit.MaxEntries))
		line := string(e.Kind) + ": " + e.What
		if e.By+e.Reason+e.Accessor != "" {
			line += fmt.Sprintf(" [%s|%s|%s]", e.By, e.Reason, e.Accessor)
		}
		lines = append(lines, line)
	}
	if len(entries) > 0 {
		j.head = next
		j.pairs[audit.HeadKey("fleet")] = j.pair(audit.HeadKey("fleet"), next.Encode())
	}
	return lines
}

func (j *journal) list() []keys.Pair {
	var list []keys.Pair
	for _, p := range j.pairs {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b keys.Pair) int { return strings.Compare(a.Key, b.Key) })
	return list
}

func (j *journal) verify(t *testing.T) {
	t.Helper()
	if _, err := audit.Verify("fleet", j.list()); err != nil {
		t.Error(err)
	}
}

// begun returns a log that covers a plan without orders.
func begun() *journal {
	j := newJournal()
	j.pass()
	return j
}

var order = fleet.Pause{By: "ann", Reason: "storm", Accessor: "a1", Time: noon}

func TestNext_WritesAnEntryForEachOrder(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after fleet.Control
		want          []string
	}{
		"pause": {after: fleet.Control{Pause: &order}, want: []string{"Pause: paused [ann|storm|a1]"}},
		"resume of a pause": {before: fleet.Control{Pause: &order}, after: fleet.Control{Ended: &order},
			want: []string{"Resume: resumed pause [ann|storm|a1]"}},
		"a pause that is gone": {before: fleet.Control{Pause: &order}, want: []string{"Resume: resumed pause"}},
		"halt": {after: fleet.Control{Halt: &fleet.Halt{Version: "v2", Reason: "2 failed"}},
			want: []string{"Halt: halted version v2 [|2 failed|]"}},
		"resume of a halt": {before: fleet.Control{Halt: &fleet.Halt{Version: "v2"}}, after: fleet.Control{Ended: &order, Resumed: &order},
			want: []string{"Resume: resumed halt [ann|storm|a1]"}},
		"abort": {after: fleet.Control{Abort: &fleet.Abort{Pause: order, Digest: "0123456789abcdef0123"}},
			want: []string{"Abort: aborted the spec with the digest 0123456789abcdef [ann|storm|a1]"}},
		"pin": {after: fleet.Control{Pin: &fleet.Pin{Revision: 3, Digest: "d", By: "ann", Reason: "bad", Accessor: "a1"}},
			want: []string{"Pin: revision 3 in place of the spec with the digest d [ann|bad|a1]"}},
		"unpin":   {before: fleet.Control{Pin: &fleet.Pin{Revision: 3}}, want: []string{"Unpin: no revision is pinned"}},
		"promote": {after: fleet.Control{Promotion: &fleet.Promotion{Pause: order, Version: "v2"}}, want: []string{"Promote: promoted the canaries of version v2 [ann|storm|a1]"}},
		"set aside, one order": {after: fleet.Control{SetAside: map[string]fleet.SetAside{"web1": {Pause: order}, "web2": {Pause: order}}},
			want: []string{"SetAside: set aside: web1, web2 [ann|storm|a1]"}},
		"retry": {after: fleet.Control{Retry: &fleet.Retry{Pause: order, Hosts: map[string]int{"web2": 1, "web1": 2}}},
			want: []string{"Retry: retry of web1, web2 [ann|storm|a1]"}},
		"windows": {after: fleet.Control{Override: &fleet.Override{By: "ann", Version: "v2"}},
			want: []string{"OverrideWindows: opened the windows for version v2 [ann||]"}},
		"accept":               {after: fleet.Control{Shrunk: &fleet.Shrunk{Pause: order, Hosts: 3}}, want: []string{"Accept: accepted a fleet of 3 hosts [ann|storm|a1]"}},
		"an order that ended":  {before: fleet.Control{Retry: &fleet.Retry{}}, want: []string{"Control: no longer ordered: retry"}},
		"the same again":       {before: fleet.Control{Pause: &order}, after: fleet.Control{Pause: &order}, want: []string{"Control: wrote the orders again, without a difference"}},
		"a host with any name": {after: fleet.Control{SetAside: map[string]fleet.SetAside{"a b\x1b": {}}}, want: []string{"SetAside: set aside: d7f8cb5f2eaf9472"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal()
			j.control(tt.before)
			j.pass()
			j.control(tt.after)
			if d := cmp.Diff(tt.want, j.pass()); d != "" {
				t.Errorf("entries (-want +got):\n%s", d)
			}
			if again := j.pass(); again != nil {
				t.Errorf("the next pass wrote %q", again)
			}
			j.verify(t)
		})
	}
}

func TestNext_WritesSpecsHoldsAndNotes(t *testing.T) {
	j := newJournal()
	steps := []struct {
		name   string
		change func()
		noted  []audit.Entry
		want   []string
	}{
		{"first", func() {}, nil, []string{"Begin: the audit log begins", "Spec: stored a spec, sha256 3bfc269594ef6492"}},
		{"a spec", func() { j.spec("v2") }, nil, []string{"Spec: stored a spec, sha256 fb04dcb6970e4c3d"}},
		{"holds", func() {
			j.hold("epoch", fleet.Hold{})
			j.hold("fleet", fleet.Hold{Plan: "fleet"})
			j.hold("host/web1", fleet.Hold{Owner: "ann", Reason: "disk", Accessor: "a1"})
			j.hold("host/web2", fleet.Hold{Owner: "ann", Reason: "disk", Accessor: "a1"})
			j.hold("role/db", fleet.Hold{Owner: "bob"})
		}, nil, []string{"Hold: on hold: host/web1, host/web2 [ann|disk|a1]", "Hold: on hold: role/db [bob||]"}},
		{"unhold", func() { j.state.Holds = j.state.Holds[3:] }, nil, []string{"Unhold: no longer on hold: host/web1"}},
		{"holds that were not read", func() { j.state.HoldTree, j.state.Holds = "", nil }, nil, nil},
		{"orders that cannot be read", func() { j.state.Control.Value = []byte("{") }, nil, []string{"Control: the orders cannot be read: " +
			keys.Plan("fleet").Control() + " cannot be read: unexpected end of JSON input"}},
		{"a restored store", func() { j.control(fleet.Control{}); j.state.WentBack = "the counter was 9, and is 7" },
			[]audit.Entry{{Kind: audit.StoreWentBack, What: "the log was at 9"}},
			[]string{"StoreWentBack: the log was at 9", "Control: the orders can be read again", "StoreWentBack: the counter was 9, and is 7"}},
		{"deleted", func() { j.state.Spec, j.state.Control = keys.Pair{}, keys.Pair{} }, nil, []string{"Delete: deleted the plan"}},
		{"still deleted", func() {}, nil, nil},
		{"created again", func() { j.state.WentBack = ""; j.spec("v2") }, nil, []string{"Spec: stored a spec, sha256 fb04dcb6970e4c3d",
			"Control: the orders cannot be read:  does not exist"}},
	}
	for _, s := range steps {
		s.change()
		if d := cmp.Diff(s.want, j.pass(s.noted...)); d != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, d)
		}
		j.verify(t)
	}
}

// With all that an operator can write, an entry and the head stay small, and the log goes on.
func TestNext_IsBounded(t *testing.T) {
	j := begun()
	c := fleet.Control{SetAside: map[string]fleet.SetAside{}}
	for i := range 500 {
		by := fmt.Sprint("operator", i)
		c.SetAside[strings.Repeat("<", 100)+fmt.Sprint(i)] = fleet.SetAside{Pause: fleet.Pause{By: by, Reason: strings.Repeat("<", 2000)}}
		j.hold(fmt.Sprintf("host/%s%d", strings.Repeat("h", 300), i), fleet.Hold{Owner: by, Reason: strings.Repeat("\"", 2000)})
	}
	j.control(c)
	if got := j.pass(); len(got) != audit.MaxNext || !strings.Contains(got[audit.MaxNext-1], "more changes, the first: ") {
		t.Fatalf("%d entries, the last %q", len(got), got[len(got)-1])
	}
	size := 0
	for _, p := range j.pairs {
		size += len(p.Value)
	}
	if size > 256<<10 {
		t.Errorf("the transaction has %d bytes", size)
	}
	if again := j.pass(); again != nil {
		t.Errorf("the next pass wrote %q", again)
	}
	j.state.Holds = j.state.Holds[:499]
	if got := j.pass(); len(got) != 1 || !strings.HasPrefix(got[0], "Control: there are ") {
		t.Errorf("the end of a hold that is not listed: %q", got)
	}
	j.verify(t)
}

func TestVerify_FindsFaults(t *testing.T) {
	value := func(j *journal, number uint64) *keys.Pair {
		p := j.pairs[audit.EntryKey("fleet", number)]
		return &p
	}
	set := func(j *journal, p *keys.Pair, number uint64) {
		p.Key = audit.EntryKey("fleet", number)
		j.pairs[p.Key] = *p
	}
	for name, tt := range map[string]struct {
		change func(j *journal)
		number uint64
		says   string
	}{
		"changed": {func(j *journal) {
			p := value(j, 4)
			p.Value = bytes.Replace(p.Value, []byte("ann"), []byte("bob"), 1)
			set(j, p, 4)
		}, 4, "was changed"},
		"changed with a new hash": {func(j *journal) {
			entries := audit.Decode("fleet", j.list())
			e := entries[3]
			e.By = "bob"
			p := value(j, 4)
			p.Value = e.Encode()
			set(j, p, 4)
		}, 5, "does not follow"},
		"a member added after the hash": {func(j *journal) {
			p := value(j, 4)
			p.Value = append(p.Value[:len(p.Value)-1:len(p.Value)-1], []byte(`,"by":"bob"}`)...)
			set(j, p, 4)
		}, 4, "was changed"},
		"erased":       {func(j *journal) { delete(j.pairs, audit.EntryKey("fleet", 3)) }, 3, "is missing"},
		"first erased": {func(j *journal) { delete(j.pairs, audit.EntryKey("fleet", 1)) }, 1, "is missing"},
		"last erased":  {func(j *journal) { delete(j.pairs, audit.EntryKey("fleet", 7)) }, 7, "is missing"},
		"reordered": {func(j *journal) {
			a, b := value(j, 3), value(j, 4)
			set(j, a, 4)
			set(j, b, 3)
		}, 3, "is that of number 4"},
		"of another plan": {func(j *journal) {
			e := audit.Decode("fleet", j.list())[5]
			e.Plan = "other"
			p := value(j, 6)
			p.Value = e.Encode()
			set(j, p, 6)
		}, 6, "plan other"},
		"truncated with its head": {func(j *journal) {
			j.head.Number, j.head.Hash = 4, audit.Decode("fleet", j.list())[3].Hash
			j.pairs[audit.HeadKey("fleet")] = j.pair(audit.HeadKey("fleet"), j.head.Encode())
		}, 4, "there is also upgrade.jiocloud.com/audit/fleet/00000005"},
		"another head": {func(j *journal) {
			j.head.Hash = strings.Repeat("0", 64)
			j.pairs[audit.HeadKey("fleet")] = j.pair(audit.HeadKey("fleet"), j.head.Encode())
		}, 7, "does not have the hash"},
		"no head": {func(j *journal) { delete(j.pairs, audit.HeadKey("fleet")) }, 0, "is not known to be the last"},
		"a change that the controller found": {func(j *journal) { j.pass(audit.Entry{Kind: audit.LogChanged, What: "it was at 9"}) }, 8,
			"says that the controller found a change: it was at 9"},
	} {
		t.Run(name, func(t *testing.T) {
			j := begun()
			for i := range 2 {
				again := order
				again.Time = noon.Add(time.Duration(i) * time.Minute)
				j.control(fleet.Control{Pause: &again, Ended: &order})
				j.pass()
				j.control(fleet.Control{Ended: &again})
				j.pass()
			}
			j.verify(t)
			tt.change(j)
			entries, err := audit.Verify("fleet", j.list())
			fault, ok := errors.AsType[*audit.FaultError](err)
			if !ok || fault.Number != tt.number || !strings.Contains(fault.What, tt.says) || len(entries) > 8 {
				t.Errorf("%d entries hold, error %v, want entry %d %s", len(entries), err, tt.number, tt.says)
			}
		})
	}
	if _, err := audit.Verify("fleet", nil); !errors.Is(err, audit.ErrNoLog) {
		t.Errorf("an erased log: %v", err)
	}
}

// The oldest entries leave a log that is full. The rest still verifies.
func TestVerify_AcceptsALogWhoseOldestEntriesLeft(t *testing.T) {
	j := begun()
	for i := range audit.MaxEntries + 10 {
		j.spec(fmt.Sprint(i))
		j.pass()
	}
	entries, err := audit.Verify("fleet", j.list())
	if err != nil || len(entries) != audit.MaxEntries || entries[0].Number != 13 || entries[0].Previous == "" {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	delete(j.pairs, audit.EntryKey("fleet", 13))
	if _, err := audit.Verify("fleet", j.list()); err == nil {
		t.Error("the oldest entry may be erased")
	}
}

// FuzzVerify checks that no stored log makes Verify or Decode fail otherwise than with an error.
func FuzzVerify(f *testing.F) {
	j := begun()
	for _, p := range j.pairs {
		f.Add(p.Value, p.Value)
	}
	f.Fuzz(func(_ *testing.T, head, entry []byte) {
		pairs := []keys.Pair{{Key: audit.EntryKey("fleet", 1), Value: entry, ModifyIndex: 1}, {Key: audit.HeadKey("fleet"), Value: head, ModifyIndex: 1}}
		audit.Decode("fleet", pairs)
		_, _ = audit.Verify("fleet", pairs)
		if h, err := audit.DecodeHead(pairs[1]); err == nil {
			h.Next(audit.State{Plan: "fleet", Spec: pairs[0]}, noon)
		}
	})
}
