// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

var update = flag.Bool("update", false, "rewrite the golden logs")

var start = time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)

func plan(t testing.TB, spec string) *rollout.Plan {
	t.Helper()
	p := &v1alpha1.UpgradePlan{}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	v1alpha1.SetDefaults(p)
	return compile(t, p)
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func compile(t fataler, p *v1alpha1.UpgradePlan) *rollout.Plan {
	t.Helper()
	compiled, err := rollout.CompilePlan(p, schedule.LoadZone)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// editPlan replaces the plan of a simulation by a changed copy.
func editPlan(t fataler, s *simulate.Simulation, edit func(*v1alpha1.UpgradePlanSpec)) {
	t.Helper()
	p := s.Plan.DeepCopy()
	edit(&p.Spec)
	s.Plan = compile(t, p)
}

func hosts(agent bool, version string, names ...string) []simulate.Host {
	var out []simulate.Host
	for _, n := range names {
		out = append(out, simulate.Host{Name: n, Version: version, Agent: agent})
	}
	return out
}

func numbered(role string, n int) []string {
	var out []string
	for i := 1; i <= n; i++ {
		out = append(out, fmt.Sprintf("%s%d", role, i))
	}
	return out
}

// The rules of python-jiocloud's own README.
const readmeRules = `
version: "v2"
instructions:
  rollingRules: {global: 1, roles: {compute: 3}}
  roleOrder: {compute: controller}
  groupMappings: {cephmon: [stmon.*]}
`

func readmeFleet(agent bool) []simulate.Host {
	names := append(numbered("controller", 3), numbered("compute", 12)...)
	return hosts(agent, "v1", append(names, "stmonleader1", "stmon1", "stmon2", "stmonwithosd1", "ct1")...)
}

func TestRun_GoldenLogs(t *testing.T) {
	for name, o := range map[string]simulate.Options{
		"readme-rules-agents": {Plan: plan(t, readmeRules), Hosts: readmeFleet(true)},
		"readme-rules-legacy": {Plan: plan(t, readmeRules), Hosts: readmeFleet(false)},
		"no-rules":            {Plan: plan(t, `version: "v2"`), Hosts: hosts(true, "v1", "web1", "web2", "db1")},
		"batch": {Plan: plan(t, "version: v2\nstrategy: Batch\ninstructions: {rollingRules: {global: 2, fleet: 3}}"),
			Hosts: hosts(true, "v1", append(numbered("web", 5), numbered("db", 3)...)...)},
		"soak": {Plan: plan(t, "version: v2\nminReadySeconds: 120\ninstructions: {rollingRules: {global: 1}}"),
			Hosts: append(hosts(true, "v1", "web1", "web2"), hosts(false, "v1", "db1", "db2")...)},
		"canary": {Plan: plan(t, `
version: "v2"
canary: {perRole: 1, hosts: [web4], soakSeconds: 600}
instructions: {rollingRules: {global: 2}, roleOrder: {web: db}}`),
			Hosts: hosts(true, "v1", append(numbered("web", 5), numbered("db", 3)...)...)},
	} {
		t.Run(name, func(t *testing.T) {
			o.Start, o.Gap, o.Duration, o.Rand = start, time.Minute, simulate.Span{Mean: 150 * time.Second}, rand.New(rand.NewPCG(1, 1))
			s := simulate.New(o)
			s.SetVersion("v1")
			if !s.Run(24 * time.Hour).Complete {
				t.Errorf("not complete: %+v", s.Decide().Verdicts)
			}
			golden(t, name, strings.Join(s.Log, "\n")+"\n")
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".log")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("the log changed (-want +got); -update rewrites it:\n%s", d)
	}
}

// checker states the rules independently of the planner, and checks what hosts really do.
type checker struct {
	limit  map[string]int // by group
	group  func(role string) string
	after  map[string]string
	fleet  int
	before map[string]bool // hosts that were busy at the last check
	// closed reports whether the windows are closed at a time. Nil means no windows.
	closed func(time.Time) bool
	// maxFailed is how many granted hosts may fail. Negative means any number.
	maxFailed int
	halted    string // the version whose rollout exceeded maxFailed
	// canary means that the first host of each role is granted before all others.
	canary   bool
	promoted string // the version that all canaries reached
	// critical is how many hosts may be critical. Negative means any number.
	critical int
}

// gone reports whether the rollout ignores a host: the catalog has lost it, and it is not running.
func gone(s *simulate.Simulation, h *fleet.Host) bool {
	_, running := s.Running[h.Name]
	return h.Lost && !running
}

// first reports whether the host is the first of its role.
func first(s *simulate.Simulation, f *fleet.Fleet, name string) bool {
	for i := range f.Hosts {
		if h := &f.Hosts[i]; h.Role == fleet.RoleOf(name) && !gone(s, h) {
			return h.Name == name
		}
	}
	return false
}

// busy returns the hosts that are changing their version or may start to at any time: those with a grant, and agents that
// have started and not finished.
func busy(s *simulate.Simulation) map[string]bool {
	out := map[string]bool{}
	for name := range s.Running {
		out[name] = true
	}
	f := s.Fleet()
	for i := range f.Hosts {
		h := &f.Hosts[i]
		granted := h.Setting.Scope == fleet.ScopeHost && h.Setting.Enables(f.Current.Name) && h.Setting.Index > f.Current.Index
		if h.Record.Version != f.Current.Name && granted || h.Started != nil && h.Started.By == "" {
			out[h.Name] = true
		}
	}
	return out
}

// observe records when more hosts have failed than allowed: hosts that started, and report a failure.
func (r *checker) observe(s *simulate.Simulation) {
	f := s.Fleet()
	if f.Current.Name != s.Plan.Spec.Version {
		return
	}
	r.observeCanaries(s, f)
	if r.maxFailed < 0 {
		return
	}
	failed := 0
	for i := range f.Hosts {
		h := &f.Hosts[i]
		if h.Report != nil && h.Report.Phase == fleet.PhaseFailed && h.Report.Version == f.Current.Name &&
			h.Started != nil && h.Started.Version == f.Current.Name {
			failed++
		}
	}
	if failed > r.maxFailed {
		r.halted = f.Current.Name
	}
}

// observeCanaries records when all canaries have the version.
func (r *checker) observeCanaries(s *simulate.Simulation, f *fleet.Fleet) {
	inFlight := busy(s)
	for i := range f.Hosts {
		h := &f.Hosts[i]
		if first(s, f, h.Name) && (h.Record.Version != f.Current.Name || inFlight[h.Name]) {
			return
		}
	}
	r.promoted = f.Current.Name
}

// awaitsCanaries reports whether canaries still go first.
func (r *checker) awaitsCanaries(s *simulate.Simulation) bool {
	return r.canary && r.promoted != s.Plan.Spec.Version
}

// checkStops fails if the host became busy outside of the windows or against another stop.
func (r *checker) checkStops(t *rapid.T, s *simulate.Simulation, name string) {
	if r.closed != nil && r.closed(s.Now) {
		t.Fatalf("%s became busy at %s, outside of the windows\n%s", name, s.Now, tail(s))
	}
	if r.halted != "" && r.halted == s.Plan.Spec.Version {
		t.Fatalf("%s became busy although too many hosts failed to reach %s\n%s", name, r.halted, tail(s))
	}
	f := s.Fleet()
	if r.awaitsCanaries(s) && !first(s, f, name) {
		t.Fatalf("%s became busy before the canaries\n%s", name, tail(s))
	}
	critical := 0
	for i := range f.Hosts {
		if h := &f.Hosts[i]; h.Critical() && !gone(s, h) {
			critical++
		}
	}
	if r.critical >= 0 && critical > r.critical {
		t.Fatalf("%s became busy although %d hosts are critical\n%s", name, critical, tail(s))
	}
}

// inMaintenance returns the hosts that take slots because they are in maintenance, and are not busy.
func inMaintenance(s *simulate.Simulation, busy map[string]bool) (out []string) {
	f := s.Fleet()
	for i := range f.Hosts {
		h := &f.Hosts[i]
		if h.InMaintenance() && !busy[h.Name] && !h.Lost && slices.Contains(s.Plan.Spec.Instructions.RollingRules.AlsoCount, v1alpha1.OutageMaintenance) {
			out = append(out, h.Name)
		}
	}
	return out
}

// check fails if a host became busy above a limit, out of order or against a stop.
func (r *checker) check(t *rapid.T, s *simulate.Simulation) {
	now := busy(s)
	if r.before != nil {
		count := map[string]int{}
		for name := range now {
			count[r.group(fleet.RoleOf(name))]++
		}
		maintained := inMaintenance(s, now)
		for _, name := range maintained {
			count[r.group(fleet.RoleOf(name))]++
		}
		for name := range now {
			g := r.group(fleet.RoleOf(name))
			if r.before[name] {
				continue
			}
			r.checkStops(t, s, name)
			if limit, ok := r.limit[g]; ok && count[g] > limit {
				t.Fatalf("%s became busy, %d of %s are, the limit is %d\n%s", name, count[g], g, limit, tail(s))
			}
			if all := len(now) + len(maintained); r.fleet > 0 && all > r.fleet {
				t.Fatalf("%s became busy, %d of the fleet are, the limit is %d\n%s", name, all, r.fleet, tail(s))
			}
			if first := r.after[g]; first != "" {
				r.checkOrder(t, s, name, first)
			}
		}
	}
	r.before = now
}

func (r *checker) checkOrder(t *rapid.T, s *simulate.Simulation, name, awaited string) {
	f := s.Fleet()
	for i := range f.Hosts {
		h := &f.Hosts[i]
		waited := r.group(h.Role) == awaited && (!r.awaitsCanaries(s) || first(s, f, h.Name)) && !gone(s, h)
		if waited && h.Record.Version != f.Current.Name {
			t.Fatalf("%s became busy while %s of %s is at %s\n%s", name, h.Name, awaited, h.Record.Version, tail(s))
		}
	}
}

// vanished reports whether all hosts of an awaited group have left. Then the others wait indefinitely, as they must.
func (r *checker) vanished(s *simulate.Simulation) bool {
	f := s.Fleet()
	for _, first := range r.after {
		seen := slices.ContainsFunc(s.Fleet().Ledger.Roles, func(role string) bool { return r.group(role) == first })
		if seen && !slices.ContainsFunc(f.Hosts, func(h fleet.Host) bool { return r.group(h.Role) == first }) {
			return true
		}
	}
	return false
}

func tail(s *simulate.Simulation) string {
	return strings.Join(s.Log[max(0, len(s.Log)-30):], "\n")
}

// In a random fleet under random rules and disturbances no host becomes busy above a limit or out of order. The planner
// gives each host one verdict, does not modify its input, and a second pass changes nothing.
func TestRun_RandomFleetsObeyTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, r := randomFleet(t)
		s := simulate.New(o)
		s.SetVersion("v1")
		disturb := rapid.IntRange(0, 6).Draw(t, "disturbances")
		joined := 0
		for step := range 60 + 10*len(o.Hosts) {
			if disturb > 0 && step%7 == 3 {
				disturb--
				disturbance(t, s, r, &joined)
			}
			r.observe(s)
			pass(t, s)
			r.check(t, s)
			s.Act()
			r.check(t, s)
			s.Now = s.Now.Add(o.Gap)
			if s.Decide().Complete && disturb == 0 {
				return
			}
		}
		s.Control.Pause, s.Control.Halt = nil, nil
		s.SetNodes(nil)
		for _, h := range s.Fleet().Hosts {
			s.SetChecks(h.Name)
		}
		unpause(s)
		makeCompletable(t, s)
		if o.Failures != 0 || r.vanished(s) || s.Run(14*24*time.Hour).Complete {
			return
		}
		d := s.Decide()
		if slices.ContainsFunc(d.Verdicts, func(v rollout.Verdict) bool { return v.Counts }) { // without one, no plan is complete
			t.Fatalf("not complete\n%s\n%s", tail(s), verdicts(d))
		}
	})
}

func verdicts(d rollout.Decision) string {
	var b strings.Builder
	for _, v := range d.Verdicts {
		fmt.Fprintf(&b, "%s %s %s: %s\n", v.Host, v.State, v.Reason, v.Message)
	}
	return b.String()
}

// pass runs a pass of the controller and checks its properties.
func pass(t *rapid.T, s *simulate.Simulation) {
	f := s.Fleet()
	before := fmt.Sprintf("%+v", *f)
	d := s.Decide()
	if len(d.Verdicts) != len(f.Hosts) {
		t.Fatalf("%d verdicts for %d hosts", len(d.Verdicts), len(f.Hosts))
	}
	for i, v := range d.Verdicts {
		if v.Host != f.Hosts[i].Name || v.Reason == "" || v.Message == "" || v.State == "" {
			t.Fatalf("no whole verdict: %+v", v)
		}
	}
	if whole := keys.Decode(s.Snapshot(), s.Layout, keys.Options{Now: s.Now}); cmp.Diff(whole, *f) != "" {
		t.Fatalf("what was decoded piece by piece is not what is decoded at once: %s", cmp.Diff(whole, *f))
	}
	if again := s.Decide(); cmp.Diff(d, again) != "" {
		t.Fatalf("another decision from the same input: %s", cmp.Diff(d, again))
	}
	if after := fmt.Sprintf("%+v", *f); after != before {
		t.Fatal("the input was changed")
	}
	s.Pass()
	d = s.Decide()
	if d.ReadOnly {
		return
	}
	if c := s.Layout.Changes(keys.Actual(s.Snapshot(), s.Layout), d.Desired(s.Input())); !c.Empty() {
		t.Fatalf("a second pass would change\n%s\nby %s", c, verdicts(d))
	}
	// Making it so and reading it again is the same.
	if again := diff.Compute(keys.Actual(s.Snapshot(), s.Layout), keys.Actual(s.Snapshot(), s.Layout)); !again.Empty() {
		t.Fatalf("keys differ from themselves: %s", again)
	}
}

func randomFleet(t *rapid.T) (simulate.Options, *checker) {
	roles := []string{"web", "db", "stmon", "stmonleader"}
	group := func(role string) string {
		if strings.HasPrefix(role, "stmon") {
			return "mons"
		}
		return role
	}
	r := &checker{limit: map[string]int{}, group: group, after: map[string]string{}, maxFailed: -1, critical: -1}
	spec := v1alpha1.UpgradePlanSpec{Version: "v2", Instructions: v1alpha1.Instructions{
		GroupMappings: map[string]v1alpha1.StringList{"mons": {"stmon"}},
		RollingRules:  v1alpha1.RollingRules{Roles: map[string]intstr.IntOrString{}},
		RoleOrder:     map[string]v1alpha1.StringList{}}}
	for _, g := range []string{"web", "db", "mons"} {
		if n := rapid.IntRange(0, 4).Draw(t, "limit of "+g); n > 0 {
			spec.Instructions.RollingRules.Roles[g] = intstr.FromInt32(int32(n))
			r.limit[g] = n
		}
	}
	if rapid.Bool().Draw(t, "ordered") {
		spec.Instructions.RoleOrder["web"] = v1alpha1.StringList{"mons"}
		r.after["web"] = "mons"
	}
	if n := rapid.IntRange(0, 5).Draw(t, "fleet limit"); n > 0 {
		spec.Instructions.RollingRules.Fleet = new(intstr.FromInt32(int32(n)))
		r.fleet = n
	}
	spec.Instructions.RollingRules.AlsoCount = rapid.SampledFrom([][]v1alpha1.Outage{nil, {v1alpha1.OutageMaintenance},
		{v1alpha1.OutageMaintenance, v1alpha1.OutageCritical}}).Draw(t, "also counted")
	if rapid.Bool().Draw(t, "batch") {
		spec.Strategy = v1alpha1.Batch
	}
	if rapid.IntRange(0, 2).Draw(t, "windows") == 0 {
		open, hours := rapid.IntRange(0, 23).Draw(t, "opens"), rapid.IntRange(1, 30).Draw(t, "open for")
		deny, denied := rapid.IntRange(0, 23).Draw(t, "denies"), rapid.IntRange(1, 2).Draw(t, "denied for")
		if hours > denied { // else it might never be open
			spec.Windows = v1alpha1.Windows{Allow: daily(open, hours), Deny: daily(deny, denied)}
			r.closed = func(now time.Time) bool { return !within(now, open, hours) || within(now, deny, denied) }
		}
	}
	if n := rapid.IntRange(0, 6).Draw(t, "budget"); n > 0 {
		r.maxFailed = n - 1
		spec.FailurePolicy.MaxFailed = new(intstr.FromInt32(int32(r.maxFailed)))
	}
	if r.canary = rapid.Bool().Draw(t, "canaries"); r.canary {
		spec.Canary.PerRole = new(intstr.FromInt32(1))
	}
	if r.critical = rapid.IntRange(-1, 2).Draw(t, "critical"); r.critical >= 0 {
		spec.HealthGate.MaxUnhealthy = new(intstr.FromInt32(int32(r.critical)))
	}
	if rapid.Bool().Draw(t, "checked") {
		spec.HealthGate.Checks = []string{"puppet"}
	}
	spec.Keys.Format = rapid.SampledFrom([]v1alpha1.KeyFormat{"", v1alpha1.VersionKeys}).Draw(t, "format")
	p := &v1alpha1.UpgradePlan{Spec: spec}
	p.Spec.ProgressDeadlineSeconds = new(int32(1800))
	v1alpha1.SetDefaults(p)
	var all []simulate.Host
	for _, role := range roles {
		n := rapid.IntRange(0, 6).Draw(t, role)
		for _, name := range numbered(role, n) {
			all = append(all, simulate.Host{Name: name, Version: "v1", Agent: rapid.IntRange(0, 3).Draw(t, name) > 0})
		}
	}
	seed := rapid.Uint64().Draw(t, "seed")
	failures := 0.0
	if rapid.IntRange(0, 3).Draw(t, "failing") == 0 {
		failures = 0.2
	}
	return simulate.Options{Plan: compile(t, p), Hosts: all, Start: start, Gap: time.Minute, Duration: simulate.Span{Mean: 4 * time.Minute, Spread: 0.9},
		Failures: failures, Rand: rand.New(rand.NewPCG(seed, 1))}, r
}

func daily(hour, hours int) []v1alpha1.Window {
	return []v1alpha1.Window{{Schedule: fmt.Sprintf("0 %d * * *", hour), Duration: fmt.Sprintf("%dh", hours)}}
}

// within reports whether a daily window is open.
func within(now time.Time, hour, hours int) bool {
	for back := range 3 {
		opened := now.Truncate(24*time.Hour).AddDate(0, 0, -back).Add(time.Duration(hour) * time.Hour)
		if !now.Before(opened) && now.Before(opened.Add(time.Duration(hours)*time.Hour)) {
			return true
		}
	}
	return false
}

func disturbance(t *rapid.T, s *simulate.Simulation, r *checker, joined *int) {
	anyHost := func() string {
		f := s.Fleet()
		if len(f.Hosts) == 0 {
			return "web1"
		}
		return f.Hosts[rapid.IntRange(0, len(f.Hosts)-1).Draw(t, "host")].Name
	}
	switch rapid.IntRange(0, 13).Draw(t, "disturbance") {
	case 0:
		s.Control.Pause = &fleet.Pause{By: "alice"}
	case 1:
		s.Control.Pause = nil
	case 2: // the plan changes its version during the rollout
		editPlan(t, s, func(spec *v1alpha1.UpgradePlanSpec) {
			spec.Version = rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "version")
			spec.Action = v1alpha1.Action{}
		})
	case 3:
		*joined++
		s.Join(simulate.Host{Name: fmt.Sprintf("db%d", 100+*joined), Version: "v1", Agent: true})
		r.before = nil // a host that joins a finished role may begin at once
	case 4:
		s.Leave(anyHost())
	case 5:
		s.SetKey(s.Layout.PauseHost(anyHost()), "False")
	case 6:
		unpause(s)
	case 8:
		s.SetChecks(anyHost(), fleet.Check{ID: rapid.SampledFrom([]string{"puppet", "disk"}).Draw(t, "check"), Status: fleet.Critical})
	case 9:
		s.SetChecks(anyHost())
	case 10:
		var known []string
		f, lost := s.Fleet(), anyHost()
		for i := range f.Hosts {
			if f.Hosts[i].Name != lost {
				known = append(known, f.Hosts[i].Name)
			}
		}
		s.SetNodes(known)
		r.before = nil // the hosts that go first and the awaited hosts may differ from now on
	case 13: // consul maint
		s.SetChecks(anyHost(), fleet.Check{ID: fleet.NodeMaintenance, Status: fleet.Maintenance})
		r.before = nil // a host that was granted before does not wait for it
	case 7: // a version set by hand starts no agent; legacy hosts follow their old keys
		if agentsOnly(s) {
			s.SetVersion("9")
		}
	case 11: // the format of keys changes in mid-flight
		editPlan(t, s, func(spec *v1alpha1.UpgradePlanSpec) {
			spec.Keys.Format = rapid.SampledFrom([]v1alpha1.KeyFormat{"", v1alpha1.BooleanKeys, v1alpha1.VersionKeys}).Draw(t, "format")
		})
	case 12: // another version, which is a command
		editPlan(t, s, func(spec *v1alpha1.UpgradePlanSpec) {
			spec.Version = rapid.SampledFrom([]string{"4", "5"}).Draw(t, "run")
			spec.Action = v1alpha1.Action{Type: v1alpha1.CommandAction, Name: "reboot"}
		})
	}
}

// makeCompletable turns a plan that only agents can follow into one that every host can follow.
func makeCompletable(t fataler, s *simulate.Simulation) {
	t.Helper()
	if agentsOnly(s) {
		return
	}
	editPlan(t, s, func(spec *v1alpha1.UpgradePlanSpec) {
		spec.Keys.Format = ""
		if spec.Action.Given() {
			spec.Action, spec.Version = v1alpha1.Action{}, "6"
		}
	})
}

func unpause(s *simulate.Simulation) {
	f := s.Fleet()
	for i := range f.Hosts {
		s.DeleteKey(s.Layout.PauseHost(f.Hosts[i].Name))
	}
}

func agentsOnly(s *simulate.Simulation) bool {
	f := s.Fleet()
	return !slices.ContainsFunc(f.Hosts, func(h fleet.Host) bool { return !h.Agent() })
}

// A legacy host that runs during a switch keeps its slot: no other host of its role starts.
func TestPass_LegacyHostKeepsSlotThroughSwitch(t *testing.T) {
	s := simulate.New(simulate.Options{Plan: plan(t, "version: v2\ninstructions: {rollingRules: {global: 1}}"),
		Hosts: hosts(false, "v1", "db1", "db2"), Start: start, Gap: time.Minute, Duration: simulate.Span{Mean: 20 * time.Minute},
		Rand: rand.New(rand.NewPCG(1, 1))})
	s.SetVersion("v1")
	for s.Fleet().Hosts[0].Record.Version == "v1" || len(s.Running) == 0 {
		s.Pass()
		s.Act()
		s.Now = s.Now.Add(s.Gap)
	}
	s.Plan = plan(t, "version: v3\ninstructions: {rollingRules: {global: 1}}")
	d := s.Pass()
	for _, v := range d.Verdicts {
		if running := s.Running[v.Host].Version != ""; v.InFlight != running {
			t.Errorf("%s: in flight %v, running %v (%s: %s)", v.Host, v.InFlight, running, v.Reason, v.Message)
		}
	}
	if !s.Run(24 * time.Hour).Complete {
		t.Errorf("not complete:\n%s", strings.Join(s.Log, "\n"))
	}
}

// A grant older than current_version, which an operator rewrote by hand, does not count for an agent. The pass renews it.
func TestPass_RenewsOldGrant(t *testing.T) {
	s := simulate.New(simulate.Options{Plan: plan(t, "version: v2\ninstructions: {rollingRules: {global: 1}}"),
		Hosts: hosts(true, "v1", "db1", "db2"), Start: start, Gap: time.Minute, Duration: simulate.Span{Mean: time.Minute},
		Rand: rand.New(rand.NewPCG(1, 1))})
	s.SetVersion("v1")
	s.Pass()
	s.SetVersion("v2")
	s.Act()
	if len(s.Running) > 0 {
		t.Fatal("db1 has begun by an old grant")
	}
	s.Pass()
	if s.Act(); len(s.Running) != 1 {
		t.Errorf("%d hosts have begun", len(s.Running))
	}
}
