// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// closed is a window that opens once in four years.
const closed = "\nwindows: {allow: [{schedule: '0 0 29 2 *', duration: 1h}]}"

func (f *fixture) undoBy(policy fleet.PinPolicy, revision int64) {
	f.t.Helper()
	_, err := planstore.Plans{Store: f.store}.Undo(f.ctx(), "fleet", planstore.Undo{Policy: policy, Revision: revision,
		Pause: fleet.Pause{By: "me", Time: f.clock.Now()}})
	f.must(err)
}

// The earlier revision has no failure policy. That of the spec that it replaces halts the way back.
func TestRollback_HaltsWhenItFailsAsWell(t *testing.T) {
	onBoth(t, func(f *fixture) {
		const limits = "\ninstructions: {rollingRules: {global: 3}}"
		f.set("current_version", "v1")
		f.hosts(true, "v1", names("web", 9)...)
		f.apply("version: v1" + limits)
		f.reconcile()
		f.apply("version: v2\nfailurePolicy: {maxFailed: 2, onExceeded: Rollback}" + limits)
		f.reconcile()
		for _, name := range names("web", 3) {
			f.fail(name, "v2")
		}
		f.clock.Advance(time.Minute)
		r := f.reconcile()
		if pin := f.control().Pin; pin == nil || pin.Revision != 1 || pin.Policy != fleet.PinRollback || r.Decision.Version != "v1" {
			t.Fatalf("pin %+v\n%s", pin, explain(r))
		}
		for _, name := range names("web", 3) {
			f.fail(name, "v1")
		}
		f.clock.Advance(time.Minute)
		r = f.reconcile()
		if halt := f.control().Halt; halt == nil || halt.Version != "v1" || r.Status.Phase != v1alpha1.PhaseHalted || r.Starts != 0 ||
			!strings.HasPrefix(halt.Reason, "3 of 9 hosts have failed (web1, web2, web3), more than failurePolicy.maxFailed, which is 2") {
			t.Errorf("halt %+v, phase %s, %d starts\n%s", halt, r.Status.Phase, r.Starts, explain(r))
		}
	})
}

// A rollback does not wait for the windows of either spec, and an undo only if its policy says so. A pin of an earlier release
// has no policy, and goes on as it began.
func TestPin_WindowsHoldByItsPolicy(t *testing.T) {
	for _, c := range []struct {
		name   string
		undo   func(*fixture)
		starts int
	}{
		{"rollback", func(f *fixture) { f.undoBy(fleet.PinRollback, 0) }, 1},
		{"as spec", func(f *fixture) { f.undoBy(fleet.PinAsSpec, 0) }, 0},
		{"of an earlier release", func(f *fixture) {
			f.undoBy(fleet.PinRollback, 0)
			key := keys.Plan("fleet").Control()
			value := string(f.get(key).Value)
			old := strings.Replace(value, `,"policy":"Rollback"`, "", 1)
			if old == value {
				f.t.Fatalf("no policy in %s", value)
			}
			f.set(key, old)
		}, 0},
		{"rollback after as spec", func(f *fixture) {
			f.undoBy(fleet.PinAsSpec, 0)
			f.undoBy(fleet.PinRollback, 1)
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			onMemory(t, func(f *fixture) {
				f.set("current_version", "v1")
				f.hosts(true, "v2", names("web", 2)...)
				f.apply("version: v1\ninstructions: {rollingRules: {global: 1}}\ncanary: {perRole: 1, soakSeconds: 600}" + closed)
				f.apply("version: v2" + closed)
				c.undo(f)
				if r := f.reconcile(); r.Starts != c.starts {
					t.Errorf("%d starts, want %d\n%s", r.Starts, c.starts, explain(r))
				}
			})
		})
	}
}

// A revision that the previous release stored has no rollback policy. To apply it again changes nothing.
func TestApply_KeepsPlansWithoutARollbackPolicy(t *testing.T) {
	onMemory(t, func(f *fixture) {
		const spec = "version: v2\nfailurePolicy: {maxFailed: 1, onExceeded: Rollback}"
		f.apply(spec)
		before := f.get(keys.Plan("fleet").Spec())
		if strings.Contains(string(before.Value), "rollback\"") {
			t.Errorf("%s has a default of the rollback policy", before.Value)
		}
		if outcome := f.apply(spec); outcome != planstore.Unchanged || f.get(before.Key).ModifyIndex != before.ModifyIndex {
			t.Errorf("applied again: %s", outcome)
		}
	})
}

// 26 of 40 agents go back while the windows of both specs are closed. No state that Consul ever had exceeds 33% of 40, which are
// 13, and the other agents are not touched.
func TestHistory_RollbackHoldsItsLimitAtEachIndex(t *testing.T) {
	h := newHistory(t, map[string]int{"web": 13}, consultest.ProxyOptions{})
	h.set("current_version", "1")
	agents := h.agents(names("web", 40)...)
	h.must(once(agents))
	passes := func(n int) (grants int) {
		for range n {
			grants += h.reconcile().Starts
			h.must(once(agents))
		}
		return grants
	}
	const canary, limit = "\ncanary: {perRole: 1, soakSeconds: 86400}", "\ninstructions: {rollingRules: {global: 13}}"
	h.apply("version: '1a'" + limit)
	passes(4)
	h.apply("version: '1a'\ninstructions: {rollingRules: {global: 1}}" + canary + closed)
	h.apply("version: '2'" + limit)
	passes(2)
	at := func(version string) map[string]uint64 {
		pairs, _, err := h.store.List(t.Context(), h.layout.RecordTree()+version+"/")
		h.must(err)
		found := map[string]uint64{}
		for _, p := range pairs {
			found[p.Key] = p.ModifyIndex
		}
		return found
	}
	untouched := at("1a")
	if len(untouched) != 14 {
		t.Fatalf("%d hosts are at 1", len(untouched))
	}
	h.apply("version: '2'" + limit + canary + closed +
		"\nfailurePolicy: {maxFailed: 1, rollback: {rollingRules: {global: 33%, fleet: 33%}}}")
	h.undoBy(fleet.PinRollback, 2)
	grants := passes(2)
	if r := h.reconcile(); !r.Decision.Complete || r.Decision.Version != "1a" || grants != 26 {
		t.Errorf("%d grants, complete %v\n%s", grants, r.Decision.Complete, explain(r))
	}
	for key, index := range at("1a") {
		if before, ok := untouched[key]; ok && before != index {
			t.Errorf("%s was written again", key)
		}
	}
	if faults := fmt.Sprint(h.checker.Faults); faults != "[]" {
		t.Error(faults)
	}
}
