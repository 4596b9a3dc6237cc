// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pass_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

// planOf compiles the plan of a spec.
func planOf(t *testing.T, spec string) *rollout.Plan {
	t.Helper()
	plan := &v1alpha1.UpgradePlan{}
	if err := yaml.UnmarshalStrict([]byte(spec), &plan.Spec); err != nil {
		t.Fatal(err)
	}
	v1alpha1.SetDefaults(plan)
	compiled, err := rollout.CompilePlan(plan, schedule.LoadZone)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// agents returns the snapshot of a plan whose fleet is three idle agents at v1.
func agents(t *testing.T, spec string) pass.Snapshot {
	t.Helper()
	s := pass.Snapshot{Now: noon, Plan: planOf(t, spec), Digest: "new"}
	pair := func(key string, value []byte) keys.Pair {
		return keys.Pair{Key: key, Value: value, CreateIndex: 1, ModifyIndex: 1}
	}
	s.Keys.Current = pair(s.Layout.CurrentVersion(), []byte("v1"))
	s.Keys.Current.Flags, s.Keys.Ledger.Rollout = keys.CurrentFlags(1, false), 1
	s.Keys.Config = []keys.Pair{pair(s.Layout.EnableGlobal(), []byte("False"))}
	for _, host := range []string{"web1", "web2", "web3"} {
		s.Keys.RecordKeys = append(s.Keys.RecordKeys, s.Layout.Record("v1", host))
		s.Keys.Reports = append(s.Keys.Reports, pair(s.Layout.Report(host),
			keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema, Role: "web", Version: "v1", Phase: fleet.PhaseIdle, Time: noon})))
	}
	s.Keys.RecordIndex = 1
	return s
}

const oneAtATime = "version: v2\ninstructions: {rollingRules: {global: 1}}"

func TestRun_EndsWithADecisionThatNeedsNoOther(t *testing.T) {
	again, last, failed := &rollout.Decision{Rewrite: true}, &rollout.Decision{}, errors.New("failed")
	for _, c := range []struct {
		name      string
		decisions []*rollout.Decision // the last one repeats
		err       error               // of the last step
		steps     int
	}{
		{"nothing more to do", []*rollout.Decision{last}, nil, 1},
		{"two corrections", []*rollout.Decision{again, again, last}, nil, 3},
		{"a step that fails", []*rollout.Decision{again, nil}, failed, 2},
		{"corrections without end", []*rollout.Decision{again}, nil, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps := 0
			err := pass.Run(func() (*rollout.Decision, error) {
				d := c.decisions[min(steps, len(c.decisions)-1)]
				steps++
				if d == nil {
					return nil, c.err
				}
				return d, nil
			})
			if !errors.Is(err, c.err) || steps != c.steps {
				t.Errorf("%d steps, error %v, want %d steps, error %v", steps, err, c.steps, c.err)
			}
		})
	}
}

func TestControl_RecordsHaltAndRollback(t *testing.T) {
	before := fleet.Control{Pause: &fleet.Pause{By: "me"}, Halt: &fleet.Halt{Version: "v1"}}
	if got := pass.Control(before, &rollout.Decision{}, "new"); !reflect.DeepEqual(got, before) {
		t.Errorf("a decision without orders changed the control to %+v", got)
	}
	decision := &rollout.Decision{Halt: &fleet.Halt{Version: "v2"}, Rollback: &fleet.Pin{Revision: 3}}
	got := pass.Control(before, decision, "new")
	want := fleet.Control{Pause: before.Pause, Halt: decision.Halt, Pin: &fleet.Pin{Revision: 3, Digest: "new"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("control (-want +got):\n%s", d)
	}
	if decision.Rollback.Digest != "" {
		t.Errorf("the decision was changed: %+v", decision.Rollback)
	}
}

func TestOrders_OmitThoseForAnotherSpec(t *testing.T) {
	s := pass.Snapshot{Digest: "new", Control: fleet.Control{Pause: &fleet.Pause{By: "me"}, Pin: &fleet.Pin{Revision: 1},
		Abort: &fleet.Abort{Digest: "old"}}}
	if got := s.Orders(); got.Pause == nil || got.Pin != nil || got.Abort != nil {
		t.Errorf("orders %+v, want only the pause", got)
	}
	s.Pinned, s.Digest = true, "old"
	if got := s.Orders(); got.Pin == nil || got.Abort == nil {
		t.Errorf("orders %+v, want the pin and the abort", got)
	}
	if s.Control.Abort == nil {
		t.Error("the snapshot lost its abort")
	}
}

func TestRecordsOf_FindsAllVersionsOfOneHost(t *testing.T) {
	s := pass.Snapshot{Keys: keys.Snapshot{RecordKeys: []string{"running/versions/v1/web1", "running/versions/v1/web10",
		"running/versions/v2/db1", "running/versions/v2/web1"}}}
	want := []string{"running/versions/v1/web1", "running/versions/v2/web1"}
	if got := s.RecordsOf("web1"); !slices.Equal(got, want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

func TestPreview_SwitchesTheVersionAndThenGrants(t *testing.T) {
	a := pass.Assess(agents(t, oneAtATime))
	p := a.Preview()
	if len(p.Steps) != 2 || p.Last.Decision.Current != "v2" || p.Last.Decision.Starts() != 1 {
		t.Fatalf("%d steps, the last starts %d hosts at %s:\n%s", len(p.Steps), p.Last.Decision.Starts(), p.Last.Decision.Current, p.Changes)
	}
	l := a.Layout
	for at, key := range []string{l.CurrentVersion(), l.Grant("web1")} {
		writes := func(c diff.Change) bool { return c.Op == diff.Set && c.To.Key == key }
		if !slices.ContainsFunc(p.Steps[at].List, writes) || !slices.ContainsFunc(p.Changes.List, writes) {
			t.Errorf("step %d does not write %s:\n%s\nin all:\n%s", at, key, p.Steps[at], p.Changes)
		}
	}
	if a.Decision.Starts() != 0 || string(a.Keys.Current.Value) != "v1" {
		t.Errorf("the preview changed its assessment: %d starts at %s", a.Decision.Starts(), a.Keys.Current.Value)
	}
}

func TestPreview_StopsAtAPause(t *testing.T) {
	s := agents(t, oneAtATime)
	s.Control.Pause = &fleet.Pause{By: "me"}
	if p := pass.Assess(s).Preview(); len(p.Steps) != 0 || !p.Changes.Empty() {
		t.Errorf("%d steps:\n%s", len(p.Steps), p.Changes)
	}
}

func TestPreview_RollsBackAndSwitchesToTheFallback(t *testing.T) {
	s := agents(t, oneAtATime+"\nfailurePolicy: {maxFailed: 0, onExceeded: Rollback}")
	s.Keys.Current.Value = []byte("v2")
	s.Keys.Reports[0].Value = keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema, Role: "web", Version: "v2",
		Phase: fleet.PhaseFailed, Time: noon})
	s.Keys.Started = []keys.Pair{{Key: s.Layout.Started("web1"), CreateIndex: 1, ModifyIndex: 1,
		Value: keys.EncodeStarted(fleet.Started{Version: "v2", From: "v1", Time: noon, Rollout: 1})}}
	s.Fallback = planOf(t, "version: v1")
	s.Fallback.Generation = 1
	last := pass.Assess(s).Preview().Last
	if pin := last.Control.Pin; pin == nil || pin.Revision != 1 || pin.Digest != "new" {
		t.Errorf("pin %+v, want revision 1 in place of the spec", pin)
	}
	if last.Decision.Version != "v1" || string(last.Keys.Current.Value) != "v1" || last.Decision.Pinned != 1 {
		t.Errorf("the last decision: version %s, revision %d, current_version %s", last.Decision.Version, last.Decision.Pinned,
			last.Keys.Current.Value)
	}
}

func TestPresent_ShowsHostsBeforeTheirGrants(t *testing.T) {
	last := pass.Assess(agents(t, oneAtATime)).Preview().Last
	present, granted := last.Present(), last.Decision
	if v := granted.Verdicts[0]; v.Host != "web1" || v.Reason != v1alpha1.ReasonStarting || v.State == rollout.Pending || !v.InFlight {
		t.Fatalf("the decision does not grant web1: %+v", v)
	}
	if v := present.Verdicts[0]; v.Host != "web1" || v.State != rollout.Pending || v.InFlight || v.Enable {
		t.Errorf("web1 is %+v, want a pending host that is not in flight", v)
	}
	if d := cmp.Diff(granted.Verdicts[1:], present.Verdicts[1:]); d != "" {
		t.Errorf("other hosts differ (-granted +present):\n%s", d)
	}
}

func TestAssess_WritesNothingWithoutAPlan(t *testing.T) {
	s := agents(t, oneAtATime)
	s.Plan = nil
	a := pass.Assess(s)
	if len(a.Fleet.Hosts) != 3 || !a.Decision.ReadOnly || !a.Changes().Empty() {
		t.Errorf("%d hosts, read-only %v, changes:\n%s", len(a.Fleet.Hosts), a.Decision.ReadOnly, a.Changes())
	}
}
