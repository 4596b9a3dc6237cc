// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// truth is what really happens on a machine, independent of what the store says.
type truth struct {
	// running is the version that the host has started to change to and has not reached, and from the one before.
	running, from string
	// grant is the id of the last grant by which this installation has started. used are those by which it has begun an upgrade, and
	// finished is its last rollout.
	grant    string
	used     map[string]bool
	finished uint64
	rollout  uint64 // of the change that runs
	// seen is the version that the store last got from the host, and seenAt when.
	seen   string
	seenAt time.Time
	// joined is when a host that had no version has reported its first one. newcomer says that its last report had none.
	joined   time.Time
	newcomer bool
	gone     bool
	// unseen says that a restored backup does not know that the host runs.
	unseen bool
	// reinstalled says that it has not changed its version since it was reinstalled.
	reinstalled bool
	// failed is its last report of a failure, until it reports something else.
	failed failure
	// startedAt is when it last started, attempts how many attempts it has begun in that rollout, and trying says that one runs,
	// since begun.
	startedAt, begun time.Time
	attempts         int
	trying           bool
	// aside is the rollout in which an operator set it aside, until it starts. Zero means none.
	aside uint64
}

// failure is a report of a failure in a rollout.
type failure struct {
	rollout uint64
	at      time.Time
}

// referee checks each write by what hosts really do. It keeps the first violation.
type referee struct {
	world           *world
	layout          keys.Layout
	rule, violation string
	completed       bool
	// starts counts the starts by a grant.
	starts int

	// force are the rules that were in force, oldest first.
	force []inForce
	// grants are by host: when the grant in the store was written.
	grants map[string]time.Time
	// newcomers have a grant that was written when they had no version. They may reach one before they use it.
	newcomers map[string]bool
	// switched is when current_version was last written.
	switched time.Time
	// stops are orders that have returned and stand, by what they stop.
	stops map[string]*stop
	// lifted counts the orders that end stops, and lifting those that have not returned, by what they apply to.
	lifted, lifting map[string]int
	// restored is when a backup was last restored. Zero means never.
	restored time.Time
	// asides are the orders to set hosts aside, as they were read last.
	asides map[string]fleet.SetAside
	// resumed is when a controller first carried out the last order to resume the rollout, which is resumption. unseen says that none
	// has yet.
	resumed    time.Time
	resumption fleet.Pause
	unseen     bool
	// grown says that an operator has accepted hosts which joined, or that invented ones were there at the first switch.
	grown bool
}

// stop is an order to stop that has returned.
type stop struct {
	what string
	at   time.Time
}

// inForce are the specs that may be carried out from a time on: the stored one, and a pinned revision.
type inForce struct {
	since time.Time
	specs []v1alpha1.UpgradePlanSpec
}

func newReferee(w *world) *referee {
	return &referee{world: w, grants: map[string]time.Time{}, newcomers: map[string]bool{}, stops: map[string]*stop{}, lifted: map[string]int{}, lifting: map[string]int{}}
}

func (r *referee) ok() bool { return r.violation == "" }

// ruleNames are the rules that the referee checks.
func ruleNames() []string {
	return []string{"limit", "order", "stop", "window", "grant", "one-time", "again", "went back", "soak", "maintenance", "health", "budget",
		"unexplained", "late", "duplicate", "audit", "convergence"}
}

func (r *referee) violate(rule, format string, args ...any) {
	if !slices.Contains(ruleNames(), rule) {
		panic(rule)
	}
	if r.violation != "" || r.world.seams.only != "" && rule != r.world.seams.only {
		return
	}
	r.rule, r.violation = rule, fmt.Sprintf(format, args...)
	r.world.note("referee", "VIOLATION of "+rule, r.violation)
	pairs, _, err := r.world.store.List(context.Background(), "")
	if err != nil {
		panic(err)
	}
	for _, p := range pairs {
		if key := short(p.Key); !strings.HasPrefix(key, "plans/") || strings.HasSuffix(key, "/control") || strings.HasSuffix(key, "/ledger") {
			r.world.note("store", key, fmt.Sprintf("%.200s (%d)", p.Value, p.ModifyIndex))
		}
	}
	o, err := planstore.Observe(context.Background(), r.world.store, planName, time.Now())
	if err != nil {
		return
	}
	for _, v := range o.Decision.Verdicts {
		r.world.note("planner", v.Host, fmt.Sprintf("%s: %s", v.Reason, v.Message))
	}
}

func (r *referee) get(key string) keys.Pair {
	pairs, _, err := r.world.store.Get(context.Background(), key)
	if err != nil {
		panic(err)
	}
	return pairs[0]
}

// state is what the store held before a transaction, as far as the transaction is checked by it.
type state struct {
	started *fleet.Started
	grant   *fleet.Grant
	stopped string
	current fleet.CurrentVersion
	// offset is how wrong the clock of a controller is.
	offset time.Duration
	by     *process
}

// before reads what the judgment of a transaction needs.
func (r *referee) before(c *call) (s state) {
	for _, op := range c.intends {
		switch {
		case c.process.machine != nil && op.Key == r.layout.Started(c.process.machine.name) && op.Verb == store.Set:
			host := c.process.machine.name
			s.started = keys.DecodeStarted(r.get(r.layout.Started(host)))
			s.grant = keys.DecodeGrant(r.get(r.layout.Grant(host)))
			s.current = keys.DecodeCurrent(r.get(r.layout.CurrentVersion()))
		case c.process.leads && strings.HasPrefix(op.Key, r.layout.GrantTree()) && op.Verb == store.CAS && s.stopped == "":
			s.stopped, s.offset = r.storedStop(), time.Duration(c.process.offset.Load())
			s.by = c.process
		}
	}
	return s
}

// storedStop says which order in the store stops the plan. Empty means none.
func (r *referee) storedStop() string {
	spec, err := planstore.DecodePlan(planName, r.get(keys.Plan(planName).Spec()))
	if err != nil {
		return "there is no plan"
	}
	control, err := keys.DecodeControl(r.get(keys.Plan(planName).Control()))
	switch {
	case err != nil:
		return "there are no orders"
	case spec.Spec.Paused:
		return "spec.paused"
	case control.Pause != nil:
		return "paused"
	}
	return ""
}

// applied checks a transaction that was applied.
func (r *referee) applied(c *call, s state) {
	plan := keys.Plan(planName)
	if r.unseen && c.process.leads && slices.ContainsFunc(c.intends, func(op store.Op) bool { return op.Key == plan.Ledger() }) {
		r.resumed, r.unseen = time.Now(), false
	}
	if slices.ContainsFunc(c.intends, func(op store.Op) bool { return op.Key == audit.HeadKey(planName) }) {
		r.auditLog()
	}
	for _, op := range c.intends { // what a process does follows from what it believes to have written
		switch {
		case op.Key == plan.Spec() || op.Key == plan.Control():
			r.readRules()
		case op.Key == r.layout.CurrentVersion() && op.Verb.Writes():
			r.grown = r.grown || r.switched.IsZero() && r.invented()
			r.switched = time.Now()
		case strings.HasPrefix(op.Key, r.layout.GrantTree()) && op.Verb == store.CAS:
			r.granted(strings.TrimPrefix(op.Key, r.layout.GrantTree()), op, s)
		}
		if m := c.process.machine; m != nil {
			r.hostWrote(c, m, op, s)
		} else if _, host, ok := r.layout.RecordTrees().Cut(op.Key); ok && r.world.machine(host) != nil {
			r.world.machine(host).truth.seen = "" // an operator has forgotten it
		}
	}
}

// auditLog checks the audit log after a controller wrote it. No other program does, so it holds, also in a restored store.
func (r *referee) auditLog() {
	pairs, _, err := r.world.store.List(context.Background(), audit.Tree(planName))
	if err != nil {
		panic(err)
	}
	if _, err := audit.Verify(planName, pairs); err != nil {
		r.violate("audit", "the audit log does not hold: %v", err)
	}
}

// storeRestored notes that a backup was restored. It lifts all stops that came after it. A host that started after it runs on, and
// no controller can know that: docs/how-to/restore-consul.md.
func (r *referee) storeRestored() {
	r.restored = time.Now()
	r.stops = map[string]*stop{}
	for _, m := range r.world.machines {
		marker := keys.DecodeStarted(r.get(r.layout.Started(m.name)))
		m.truth.unseen = m.truth.running != "" && !startedByHost(marker, m.truth.running)
		if report := keys.DecodeReport(r.get(r.layout.Report(m.name))); report == nil || report.Version != m.truth.seen {
			m.truth.seen = "" // until it reports again
		}
	}
	r.readRules()
}

// readRules notes the rules that may be in force now.
func (r *referee) readRules() {
	now := inForce{since: time.Now()}
	if plan, err := planstore.DecodePlan(planName, r.get(keys.Plan(planName).Spec())); err == nil {
		now.specs = append(now.specs, plan.Spec)
	}
	control, err := keys.DecodeControl(r.get(keys.Plan(planName).Control()))
	if err == nil && control.Resumed != nil && *control.Resumed != r.resumption {
		r.unseen, r.resumption = true, *control.Resumed
	}
	if err == nil {
		r.grown = r.grown || control.Grown != nil
		r.readAsides(control.SetAside)
		r.unexplained(control.Halt)
	}
	if err == nil && control.Pin != nil {
		pair := r.get(keys.Plan(planName).Revision(control.Pin.Revision))
		if plan, err := planstore.DecodePlan(planName, pair); err == nil {
			if control.Pin.Policy == fleet.PinRollback {
				plan.Spec.Windows.Allow = nil
			}
			now.specs = append(now.specs, plan.Spec)
		}
	}
	r.force = append(r.force, now)
}

// specsSince are all specs that may have been carried out since a time.
func (r *referee) specsSince(t time.Time) (specs []v1alpha1.UpgradePlanSpec) {
	for i, f := range r.force {
		if i+1 < len(r.force) && r.force[i+1].since.Before(t) {
			continue
		}
		specs = append(specs, f.specs...)
	}
	return specs
}

// granted checks a grant as it is written.
func (r *referee) granted(host string, op store.Op, s state) {
	r.grants[host] = time.Now()
	if s.stopped != "" {
		r.violate("stop", "%s was granted although the plan is stopped: %s", host, s.stopped)
	}
	g := keys.DecodeGrant(keys.Pair{Key: op.Key, Value: op.Value, ModifyIndex: 1})
	m := r.world.machine(host)
	if g == nil || m == nil || m.double {
		return
	}
	r.newcomers[host] = m.disk.version == "" || time.Since(m.truth.joined) < late || r.knownAsNew(host)
	if why := r.outsideWindow(g.Time); why != "" {
		r.violate("window", "%s was granted %s", host, why)
	}
	d := decision{m, g, g.Time.Add(time.Second - s.offset), s.by} // the time of a grant has whole seconds
	r.again(d)
	r.unhealthy(d)
	r.budget(d)
	if !r.newcomers[host] {
		r.order(m, g)
		r.slots(d)
	}
}

// again checks that a host gets no second grant of a rollout long after it has begun to change its version by the first one.
func (r *referee) again(d decision) {
	m, g, t := d.machine, d.grant, d.machine.truth
	if t.running == g.Version && t.rollout == g.Rollout && t.trying && !t.unseen && t.aside == 0 && d.by.noticed(t.begun, d.at) {
		r.violate("again", "%s was granted %s while it changes to that version since %s", m.name, g.Version, time.Since(t.begun).Round(time.Second))
	}
}

// knownAsNew says that the last report of a host has no version, as after a backup was restored, or before a reinstalled host reports,
// or that its marker is of the change to its first version.
func (r *referee) knownAsNew(host string) bool {
	report, marker := keys.DecodeReport(r.get(r.layout.Report(host))), keys.DecodeStarted(r.get(r.layout.Started(host)))
	return report != nil && report.Version == "" || marker != nil && marker.By == "" && marker.From == ""
}

// outsideWindow says that no window was open at a time on the controller's clock. Windows open in even hours of local time, and for an
// hour at the moment of a change that skips an even hour.
func (r *referee) outsideWindow(decided time.Time) string {
	zone, err := time.LoadLocation(r.world.scenario.Plan.Zone)
	if err != nil {
		panic(err)
	}
	local := decided.In(zone)
	before := local.Add(-time.Hour).Hour()
	open := local.Hour()%2 == 0 || local.Hour() == before+2
	for _, spec := range r.specsSince(time.Now()) {
		if len(spec.Windows.Allow) == 0 || open {
			return ""
		}
	}
	return "at " + decided.UTC().Format(time.TimeOnly) + ", outside of the windows"
}

// late is after what time a controller must have noticed a change.
const late = 15 * time.Minute

// order checks whether the roles that are first in the order are upgraded. Canaries wait for canaries alone.
func (r *referee) order(m *machine, g *fleet.Grant) {
	if r.world.scenario.Plan.Canaries > 0 {
		return
	}
	for _, first := range r.world.scenario.Plan.Order[m.role] {
		for _, o := range r.world.machines {
			behind := o.role == first && !o.truth.gone && !o.double && !r.setAside(o, g.Rollout) && o.disk.version != g.Version && o.truth.seen != g.Version && o.truth.seen != ""
			if behind && time.Since(o.truth.seenAt) > late {
				r.violate("order", "%s was granted %s before %s, which is at %s for %s", m.name, g.Version, o.name, o.truth.seen,
					time.Since(o.truth.seenAt).Round(time.Second))
			}
		}
	}
}

// hostWrote checks what a host has written.
func (r *referee) hostWrote(c *call, m *machine, op store.Op, s state) {
	switch {
	case op.Key == r.layout.Report(m.name) && c.process == m.process:
		// A host that failed, and whose plan went back to the version that it has, does not run any more.
		report := keys.DecodeReport(keys.Pair{Key: op.Key, Value: op.Value, ModifyIndex: 1})
		if report != nil {
			m.truth.failed = failure{}
			if report.Version == "" { // it is a newcomer again
				m.truth.seen, m.truth.newcomer = "", true
			}
			if report.Phase == fleet.PhaseFailed {
				m.truth.failed = failure{report.AttemptRollout, time.Now()}
				if order := r.asides[m.name]; order.Rollout == report.AttemptRollout && order.Rollout != 0 { // it waited for the failure
					m.truth.aside = order.Rollout
				}
			}
		}
		if report != nil && report.Phase == fleet.PhaseIdle && report.Version == m.disk.version && m.truth.running != report.Version {
			m.truth.running, m.truth.unseen = "", false
		}
	case op.Key == r.layout.Started(m.name) && op.Verb == store.Set:
		marker := keys.DecodeStarted(keys.Pair{Key: op.Key, Value: op.Value, ModifyIndex: 1})
		if marker != nil {
			r.started(c, m, *marker, s)
		}
	case op.Verb == store.Set:
		if version, _, ok := r.layout.RecordTrees().Cut(op.Key); ok && m.truth.seen != version {
			if m.truth.newcomer {
				m.truth.joined, m.truth.newcomer = time.Now(), false
			}
			m.truth.seen, m.truth.seenAt = version, time.Now()
		}
	}
}

// started checks the start of an agent. A host that goes on with what it began does not start.
func (r *referee) started(c *call, m *machine, marker fleet.Started, s state) {
	byGrant := slices.ContainsFunc(c.intends, func(op store.Op) bool {
		return op.Key == r.layout.Grant(m.name) && op.Verb == store.CheckIndex
	})
	if !byGrant && startedByHost(s.started, marker.Version) {
		r.goesOn(c.process.name, m, marker)
		if m.truth.reinstalled && s.started.From == "" { // it was a newcomer before it came back
			m.truth.from = ""
		}
		return
	}
	if !byGrant && s.current.Governed && !m.old {
		r.violate("grant", "%s started %s without a grant and without a marker of its own", m.name, marker.Version)
	}
	r.starts++
	r.world.busy = r.world.steps
	since := r.switched
	if byGrant && s.grant != nil {
		r.usesGrant(c, m, *s.grant)
		since = r.grants[m.name]
	}
	if s.current.Governed && s.current.Rollout < m.truth.finished {
		r.violate("went back", "%s has finished rollout %d, and started %s in rollout %d", m.name, m.truth.finished, marker.Version,
			s.current.Rollout)
	}
	m.startsAgain(marker.Rollout)
	if !m.old { // a stop binds it when the next pass has revoked its key
		r.stopped(m, marker)
	}
	ran := m.truth.running != "" && !m.truth.unseen // it takes its slot already
	r.goesOn(c.process.name, m, marker)
	late := c.process != m.process && m.truth.reinstalled // a call of an installation that is gone
	r.duplicate(m, marker)
	standing := m.old && m.truth.reinstalled // its key enabled it before it came back, which no controller can know
	if late || m.double || standing || byGrant && r.newcomers[m.name] {
		m.truth.from = ""
	}
	if m.truth.from != "" && !ran {
		r.limits(m, since)
	}
}

// goesOn notes that a change runs.
func (r *referee) goesOn(process string, m *machine, marker fleet.Started) {
	if m.truth.running == "" {
		m.truth.from = m.disk.version
	}
	m.truth.running, m.truth.rollout, m.truth.unseen = marker.Version, marker.Rollout, false
	r.world.note(process, "START "+m.disk.version+" -> "+marker.Version, fmt.Sprintf("grant %s, rollout %d", marker.Grant, marker.Rollout))
}

// usesGrant checks the use of a grant.
func (r *referee) usesGrant(c *call, m *machine, g fleet.Grant) {
	// An agent remembers its last grant alone. A restored backup may have an earlier one of the same rollout.
	last, _, _ := fleet.ParseGrantID(m.truth.grant)
	sameRollout := m.truth.grant != g.ID && last == g.Rollout
	delayed := c.orphan && c.sent.Before(r.restored) // it is of before the restore, and no process waits for it
	if m.truth.used[g.ID] && !delayed && !(sameRollout && !r.restored.IsZero()) {
		r.violate("one-time", "%s started twice by the grant %s", m.name, g.ID)
	}
	m.truth.grant = g.ID
}

// begins notes that a host begins an attempt, which uses the grant by which it started.
func (m *machine) begins() {
	m.truth.attempts, m.truth.trying, m.truth.begun = m.truth.attempts+1, true, time.Now()
	if m.truth.used == nil {
		m.truth.used = map[string]bool{}
	}
	m.truth.used[m.truth.grant] = true
}

// stopped checks a start by the orders that have returned.
func (r *referee) stopped(m *machine, marker fleet.Started) {
	for _, what := range []string{"fleet", "role/" + m.role, "host/" + m.name} {
		if stop := r.stops[what]; stop != nil {
			r.violate("stop", "%s started %s after %s had returned %s ago", m.name, marker.Version, stop.what,
				time.Since(stop.at).Round(time.Millisecond))
		}
	}
}

// limits checks how many hosts really change at the same time, by the limits that stood since the grant.
func (r *referee) limits(m *machine, granted time.Time) {
	role, all := 0, 0
	var names []string
	for _, o := range r.world.machines {
		if o.truth.running == "" || o.truth.from == "" || o.truth.gone || o.truth.unseen || o.double || o != m && r.gaveUp(o) {
			continue
		}
		all++
		if o.role == m.role {
			role++
			names = append(names, o.name)
		}
	}
	specs := r.specsSince(granted)
	limit, whole := r.roleLimit(specs, m.role), 0
	for _, spec := range specs {
		of := unlimited
		if n := spec.Instructions.RollingRules.Fleet; n != nil {
			of = n.IntValue()
		}
		whole = max(whole, of)
	}
	switch {
	case len(specs) == 0: // the plan is gone, and its grants stand
	case role > limit:
		r.violate("limit", "%s started when %d of %s ran with it (%s), the limit is %d", m.name, role, m.role, strings.Join(names, ", "), limit)
	case all > whole:
		r.violate("limit", "%s started when %d hosts ran with it, the limit of the fleet is %d", m.name, all, whole)
	}
}

const unlimited = 1 << 30

// legacyStart checks the start of a legacy host, which decides by its keys alone.
func (r *referee) legacyStart(m *machine, version string) {
	m.truth.running, m.truth.from = version, m.disk.version
	if m.truth.reinstalled { // its key enabled it before it came back, which no controller can know
		m.truth.from = ""
	}
	r.world.note(m.process.name, "START "+m.disk.version+" -> "+version, "by its keys")
	if m.truth.from != "" && r.restored.IsZero() {
		r.limits(m, r.switched)
	}
}

// reached notes that a host has a version on its disk.
func (r *referee) reached(m *machine, version string) {
	if m.truth.running == version {
		m.truth.running, m.truth.reinstalled = "", false
		m.truth.finished = max(m.truth.finished, m.truth.rollout)
	}
}
