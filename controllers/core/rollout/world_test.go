// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// fataler is a *testing.T, *testing.B or *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

// world is a fleet's keys as they stand in a store, a plan, and the time. Each line that is written gets the next
// index: what stands below is younger.
type world struct {
	fataler
	now     time.Time
	plan    *v1alpha1.UpgradePlan
	control fleet.Control
	layout  keys.Layout
	raw     keys.Snapshot
	index   uint64

	fallback *rollout.Fallback
	replaced *v1alpha1.UpgradePlan // that the plan, a revision, rolls back; nil means none
	conflict string
	wentBack string
	skew     time.Duration // of the clocks of hosts
}

// newWorld reads a fleet, a line each ("web1..3" are web1, web2 and web3; times are "-5m"):
//
//	bare                                 no current_version v2 and no global False (which are written first otherwise)
//	current VERSION [ROLLOUT]
//	record VERSION HOST... [at TIME]
//	agent HOST...                        an idle report of the version of the host's record
//	report HOST PHASE VERSION TIME [MESSAGE]
//	says HOST ROLE                       an idle report with a role
//	duplicate HOST                       another machine reports as the host
//	started HOST VERSION TIME [in N]     the host's own mark, of a rollout
//	marked HOST VERSION TIME             a mark by the controller
//	key SCOPE VALUE [TIME] [unhealthy]   an enable_puppet key, granted then, to a host whose checks failed already
//	action VERSION NAME                  what hosts do instead of an upgrade
//	acts                                 current_version says that an action goes with it
//	pausekey SCOPE VALUE                 an operator's pause
//	hold SCOPE [exempt] [until TIME] [REASON]
//	seen ROLE...                         roles in the ledger
//	watermark TIME                       all above had been seen then
//	clocks DURATION                      the clocks of hosts are ahead of the controller's by that, below
//	unseen                               the controller has not stored when it saw the lines above
//	paused [REASON]                      an operator's pause of the plan
//	halted VERSION [REASON]              the controller's own order to stop
//	resumed TIME                         when an operator let the rollout go on
//	override VERSION [TIME]              the windows are open for that version, until then
//	check HOST ID STATUS                 a check on the host's node that does not pass
//	failing HOST TIME [TIME]             in the ledger: its checks have failed since, and passed again since
//	nodes HOST...                        all that the catalog knows
//	size N                               in the ledger: the fleet had N hosts at the last pass
//	base N LEGACY                        in the ledger: the fleet had N hosts at the switch, and so many legacy hosts
//	promoted VERSION                     in the ledger: its canaries have been promoted
//	promotion VERSION [when_complete]    an operator's order that they are
//	fallback REVISION VERSION            what was complete last
//	pinned REVISION                      it is carried out
//	replaces SPEC                        the plan is a revision that a rollback carries out in place of that spec
//	aborted                              given up by an operator
//	conflict WHY
//	incomplete WHY
func newWorld(t fataler, lines, spec string) *world {
	t.Helper()
	w := &world{fataler: t, now: noon, plan: &v1alpha1.UpgradePlan{}}
	if spec != "no plan" {
		w.respec(spec)
	} else {
		w.plan = nil
	}
	if !strings.Contains(lines, "bare") {
		w.line("current v2")
		w.line("key global False")
	}
	for line := range strings.Lines(lines) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			w.line(line)
		}
	}
	return w
}

func (w *world) respec(spec string) {
	w.Helper()
	w.plan = &v1alpha1.UpgradePlan{Spec: v1alpha1.UpgradePlanSpec{Version: "v2"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &w.plan.Spec); err != nil {
		w.Fatalf("%v\n%s", err, spec)
	}
	v1alpha1.SetDefaults(w.plan)
}

// compile prepares the plan. Plans of these tests may have an invalid version.
func (w *world) compile() *rollout.Plan {
	w.Helper()
	plan, err := rollout.CompilePlan(w.plan, schedule.LoadZone)
	if w.replaced != nil {
		plan, err = rollout.CompileRollback(w.plan, w.replaced, schedule.LoadZone)
	}
	if err != nil {
		w.Fatalf("%v", err)
	}
	return plan
}

// input is what a decision on a fleet depends on.
func (w *world) input(f *fleet.Fleet) rollout.Input {
	w.Helper()
	return rollout.Input{Plan: w.compile(), Control: w.control, Fleet: f, Fallback: w.fallback, Conflict: w.conflict,
		WentBack: w.wentBack, Now: w.now}
}

func (w *world) line(line string) {
	f := strings.Fields(line)
	rest := f[1:]
	at := func(i int) time.Time {
		if i >= len(rest) {
			return time.Time{}
		}
		d, err := time.ParseDuration(rest[i])
		if err != nil {
			w.Fatalf("%s: %v", line, err)
		}
		return w.now.Add(d)
	}
	text := func(i int) string { return strings.Join(rest[min(i, len(rest)):], " ") }
	defer func(before uint64) {
		if w.index > before && slices.Contains([]string{"record", "report", "started", "attempt"}, f[0]) {
			w.saw(f)
		}
	}(w.index)
	switch f[0] {
	case "bare":
	case "clocks":
		w.skew, _ = time.ParseDuration(rest[0])
	case "unseen":
		w.raw.Ledger.Watermarks = nil
	case "current":
		w.raw.Ledger.Rollout = 1
		if len(rest) > 1 {
			w.raw.Ledger.Rollout, _ = strconv.ParseUint(rest[1], 10, 64)
		}
		w.raw.Current = w.pair(w.layout.CurrentVersion(), rest[0], keys.CurrentFlags(w.raw.Ledger.Rollout, false))
	case "ungoverned":
		w.raw.Current.Flags, w.raw.Ledger.Rollout = 0, 0
	case "record":
		when := w.now
		if i := slices.Index(rest, "at"); i > 0 {
			when, rest = at(i+1), rest[:i]
		}
		for _, h := range expand(rest[1:]) {
			put(&w.raw.Records, w.pair(w.layout.Record(rest[0], h), strconv.FormatInt(when.Add(w.skew).Unix(), 10), 0))
		}
	case "agent":
		for _, h := range expand(rest) {
			v, when := w.recordOf(h)
			w.report(h, fleet.Report{Version: v, Phase: fleet.PhaseIdle, Time: when})
		}
	case "knows": // the host's agent knows grants
		for _, h := range expand(rest) {
			w.knowsGrants(h)
		}
	case "grant":
		current := keys.DecodeCurrent(w.raw.Current)
		g := fleet.Grant{Rollout: current.Rollout, Version: current.Name, Time: at(1), ID: fleet.GrantID(current.Rollout, 0, at(1)), Unhealthy: text(2) == "unhealthy"}
		put(&w.raw.Grants, w.pair(w.layout.Grant(rest[0]), string(keys.EncodeGrant(g)), 0))
	case "finished": // the rollout that a host reports to have finished
		r := w.reportOf(rest[0])
		n, _ := strconv.ParseUint(rest[1], 10, 64)
		r.Rollout = n
		w.report(rest[0], r)
	case "release": // the version of the host's agent
		for _, h := range expand(rest[:1]) {
			r := w.reportOf(h)
			r.AgentVersion = rest[1]
			w.report(h, r)
		}
	case "says":
		v, when := w.recordOf(rest[0])
		w.report(rest[0], fleet.Report{Role: rest[1], Version: v, Phase: fleet.PhaseIdle, Time: when})
	case "report":
		r := fleet.Report{Phase: fleet.Phase(rest[1]), Version: strings.Trim(rest[2], `"`), Time: at(3).Add(w.skew), Message: text(4)}
		put(&w.raw.Reports, w.pair(w.layout.Report(rest[0]), string(keys.EncodeReport(r)), 0))
	case "started":
		w.mark(rest[0], fleet.Started{Version: rest[1], Time: at(2).Add(w.skew), Rollout: number(rest, "in")})
	case "attempt": // of a host, by number, that failed: it waits or runs again, or has no marker any more
		n, _ := strconv.Atoi(rest[1])
		current, r := keys.DecodeCurrent(w.raw.Current), w.reportOf(rest[0])
		r.Version, r.Phase, r.Message, r.Attempt, r.AttemptRollout = current.Name, fleet.PhaseFailed, "exit status 3", n, current.Rollout
		w.report(rest[0], r)
		switch m := (fleet.Started{Version: current.Name, From: "v1", Time: at(3), Rollout: current.Rollout, Attempt: n}); rest[2] {
		case "waits":
			m.Waiting = true
			w.mark(rest[0], m)
		case "runs":
			m.Attempt++
			w.mark(rest[0], m)
		}
	case "setaside":
		rollout := keys.DecodeCurrent(w.raw.Current).Rollout
		if w.control.SetAside == nil {
			w.control.SetAside = map[string]fleet.SetAside{}
		}
		w.control.SetAside[rest[0]] = fleet.SetAside{Pause: fleet.Pause{By: "ops", Time: w.now, Reason: text(1)}, Rollout: rollout}
	case "saw": // the operator who set a host aside saw the keys so far
		order := w.control.SetAside[rest[0]]
		order.Seen = w.index
		w.control.SetAside[rest[0]] = order
	case "retry":
		n, _ := strconv.Atoi(rest[1])
		if w.control.Retry == nil {
			w.control.Retry = &fleet.Retry{Rollout: keys.DecodeCurrent(w.raw.Current).Rollout, Hosts: map[string]int{}}
		}
		w.control.Retry.Hosts[rest[0]] = n
	case "marked":
		w.mark(rest[0], fleet.Started{Version: rest[1], Time: at(2), By: fleet.ByController})
	case "key":
		flags := uint64(0)
		if t := at(2); !t.IsZero() {
			flags = uint64(t.Unix())
		}
		if text(3) == "unhealthy" {
			flags |= 1 << 62
		}
		scope, name, ok := strings.Cut(rest[0], "/")
		for _, n := range expand([]string{name}) {
			key := w.layout.EnableTree() + scope
			if ok {
				key += "/" + n
			}
			put(&w.raw.Config, w.pair(key, unquote(rest[1]), flags))
		}
	case "action":
		a := fleet.Action{Version: rest[0], Name: rest[1]}
		w.raw.Action = w.pair(w.layout.Action(), string(keys.EncodeAction(a)), 0)
	case "acts":
		w.raw.Current.Flags = keys.CurrentFlags(1, true)
	case "pausekey":
		put(&w.raw.Config, w.pair(w.layout.ConfigState()+rest[0]+"/enable_puppet", rest[1], 0))
	case "hold":
		h := fleet.Hold{}
		scope := rest[0]
		if rest = rest[1:]; len(rest) > 0 && rest[0] == "exempt" {
			h.Exempt, rest = true, rest[1:]
		}
		if len(rest) > 0 && rest[0] == "until" {
			h.Expires, rest = at(1), rest[2:]
		}
		h.Reason = text(0)
		put(&w.raw.Holds, w.pair(w.layout.HoldTree()+scope, string(keys.EncodeHold(h)), 0))
		shown := w.layout.ConfigState() + scope + "/enable_puppet" // with the pause key that upgradectl sets beside it
		if !slices.ContainsFunc(w.raw.Config, func(p keys.Pair) bool { return p.Key == shown }) && !h.Expired(w.now) {
			put(&w.raw.Config, w.pair(shown, "False", keys.HoldFlags))
		}
	case "seen":
		w.raw.Ledger.Roles = rest
	case "duplicate":
		r := w.reportOf(rest[0])
		r.Machine, r.Other = "3f2a0000", fleet.OtherMachine{Machine: "91cc0000", Time: noon, Answered: noon, Duplicate: true}
		w.report(rest[0], r)
	case "watermark":
		w.raw.Ledger.Watermarks = append(w.raw.Ledger.Watermarks, fleet.Watermark{Index: w.index, Time: at(0).Unix()})
	case "paused":
		w.control.Pause = &fleet.Pause{By: "ops", Reason: text(0)}
	case "halted":
		w.control.Halt = &fleet.Halt{Time: w.now, Version: rest[0], Reason: text(1)}
	case "resumed":
		w.control.Resumed = &fleet.Pause{By: "ops", Time: at(0).Add(w.skew)}
		w.raw.Ledger.Resumption = &fleet.Resumption{Ordered: at(0).Add(w.skew), Index: w.index, Time: at(0)}
	case "override":
		w.control.Override = &fleet.Override{By: "ops", Version: rest[0], Until: at(1)}
	case "check":
		w.raw.Checks = append(w.raw.Checks, fleet.Check{Node: rest[0], ID: rest[1], Status: fleet.CheckStatus(rest[2])})
	case "failing":
		if w.raw.Ledger.Checks == nil {
			w.raw.Ledger.Checks = map[string]fleet.CheckTimes{}
		}
		c := fleet.CheckTimes{Failed: at(1).Unix()}
		if passed := at(2); !passed.IsZero() {
			c.Passed = passed.Unix()
		}
		w.raw.Ledger.Checks[rest[0]] = c
	case "nodes":
		w.raw.Nodes = append([]string{}, slices.Sorted(slices.Values(expand(rest)))...)
	case "promoted":
		w.raw.Ledger.Promoted = rest[0]
	case "promotion":
		w.control.Promotion = &fleet.Promotion{Pause: fleet.Pause{By: "ops"}, Version: rest[0], WhenComplete: text(1) == "when_complete"}
	case "fallback":
		n, _ := strconv.ParseInt(rest[0], 10, 64)
		w.fallback = &rollout.Fallback{Revision: n, Version: rest[1]}
	case "pinned":
		n, _ := strconv.ParseInt(rest[0], 10, 64)
		w.control.Pin = &fleet.Pin{Revision: n}
	case "replaces":
		w.replaced = planOf(w, text(0))
	case "aborted":
		w.control.Abort = &fleet.Abort{Pause: fleet.Pause{By: "ops"}}
	case "accepted":
		n, _ := strconv.ParseUint(rest[0], 10, 64)
		w.control.Restored = &fleet.Restored{Rollout: n}
	case "base":
		w.raw.Ledger.Base.Hosts, _ = strconv.Atoi(rest[0])
		w.raw.Ledger.Base.Legacy, _ = strconv.Atoi(rest[1])
		w.raw.Ledger.Base.Counter = 1
	case "size":
		w.raw.Ledger.Size.Hosts, _ = strconv.Atoi(rest[0])
	case "conflict":
		w.conflict = text(0)
	case "incomplete":
		w.raw.Incomplete = text(0)
	default:
		w.Fatalf("what is %q?", line)
	}
}

// number is the one that follows a word.
func number(fields []string, word string) uint64 {
	i := slices.Index(fields, word) + 1
	if i == 0 || i == len(fields) {
		return 0
	}
	n, _ := strconv.ParseUint(fields[i], 10, 64)
	return n
}

// saw notes that the controller saw a host's line at its time. A line without a time, or with one in the future, is of now.
func (w *world) saw(f []string) {
	i := map[string]int{"started": 3, "report": 4, "attempt": 4}[f[0]]
	if f[0] == "record" {
		i = slices.Index(f, "at") + 1
	}
	var ago time.Duration
	if i > 0 && i < len(f) {
		ago, _ = time.ParseDuration(f[i])
	}
	at := w.now.Add(min(ago, 0)).Unix()
	w.raw.Ledger.Watermarks = append(w.raw.Ledger.Watermarks, fleet.Watermark{Index: w.index, Time: at})
}

func unquote(s string) string {
	if u, err := strconv.Unquote(s); err == nil {
		return u
	}
	return s
}

func (w *world) reportOf(host string) fleet.Report {
	i := slices.IndexFunc(w.raw.Reports, func(p keys.Pair) bool { return p.Key == w.layout.Report(host) })
	if i < 0 {
		w.Fatalf("%s has no report", host)
	}
	return *keys.DecodeReport(w.raw.Reports[i])
}

func (w *world) knowsGrants(host string) {
	r := w.reportOf(host)
	r.Schema = fleet.ReportSchema
	w.report(host, r)
}

// report writes the report of a host again. One that has the version of its record has had it since then.
func (w *world) report(host string, r fleet.Report) {
	for _, p := range w.raw.Records {
		if p.Key == w.layout.Record(r.Version, host) && r.Idle() && r.Reached.Version == "" {
			r.Reached = fleet.Reached{Version: r.Version, Index: p.ModifyIndex}
		}
	}
	put(&w.raw.Reports, w.pair(w.layout.Report(host), string(keys.EncodeReport(r)), 0))
}

func (w *world) mark(host string, s fleet.Started) {
	put(&w.raw.Started, w.pair(w.layout.Started(host), string(keys.EncodeStarted(s)), 0))
}

func (w *world) recordOf(host string) (version string, at time.Time) {
	for _, p := range w.raw.Records {
		if v, h, _ := strings.Cut(strings.TrimPrefix(p.Key, w.layout.RecordTree()), "/"); h == host {
			version, at = v, keys.DecodeTime(p.Value)
		}
	}
	return version, at
}

func (w *world) pair(key, value string, flags uint64) keys.Pair {
	w.index++
	return keys.Pair{Key: key, Value: []byte(value), Flags: flags, CreateIndex: w.index, ModifyIndex: w.index}
}

func put(list *[]keys.Pair, p keys.Pair) {
	i, found := slices.BinarySearchFunc(*list, p.Key, func(p keys.Pair, key string) int { return strings.Compare(p.Key, key) })
	if found {
		p.CreateIndex = (*list)[i].CreateIndex
		(*list)[i] = p
		return
	}
	*list = slices.Insert(*list, i, p)
}

func remove(list *[]keys.Pair, key string) {
	*list = slices.DeleteFunc(*list, func(p keys.Pair) bool { return p.Key == key })
}

var span = regexp.MustCompile(`^(.*?)(\d+)\.\.(\d+)$`)

// expand makes web1..3 web1, web2 and web3.
func expand(names []string) (out []string) {
	for _, n := range names {
		m := span.FindStringSubmatch(n)
		if m == nil {
			out = append(out, n)
			continue
		}
		from, _ := strconv.Atoi(m[2])
		to, _ := strconv.Atoi(m[3])
		for i := from; i <= to; i++ {
			out = append(out, m[1]+strconv.Itoa(i))
		}
	}
	return out
}

// observe is what the controller sees: all values of records are read.
func (w *world) observe() fleet.Fleet {
	w.Helper()
	raw := w.raw
	raw.RecordKeys, raw.RecordIndex = nil, w.index
	for _, p := range raw.Records {
		raw.RecordKeys = append(raw.RecordKeys, p.Key)
	}
	o := keys.Options{Now: w.now}
	if w.plan != nil && w.plan.Spec.Hosts.RolePattern != "" {
		o.RolePattern = regexp.MustCompile(w.plan.Spec.Hosts.RolePattern)
	}
	return keys.Decode(raw, w.layout, o)
}

// decide computes, and insists on what holds for every input: one whole verdict for each host, in their order; the
// input stays; the same again gives the same.
func (w *world) decide() rollout.Decision {
	w.Helper()
	f, untouched := w.observe(), w.observe()
	plan := w.plan.DeepCopy()
	in := w.input(&f)
	d := rollout.Compute(in)
	if !reflect.DeepEqual(f, untouched) || !reflect.DeepEqual(plan, w.plan) {
		w.Fatalf("the input was changed")
	}
	if again := rollout.Compute(in); !reflect.DeepEqual(d, again) {
		w.Fatalf("another decision from the same input: %s", cmp.Diff(d, again))
	}
	if len(d.Verdicts) != len(f.Hosts) {
		w.Fatalf("%d verdicts for %d hosts", len(d.Verdicts), len(f.Hosts))
	}
	for i, v := range d.Verdicts {
		if v.Host != f.Hosts[i].Name || v.State == "" || v.Base == "" || v.Reason == "" || v.Message == "" {
			w.Fatalf("no whole verdict: %+v", v)
		}
	}
	return d
}

// desired is what the keys should be, by a decision on the present fleet.
func (w *world) desired(d rollout.Decision) fleet.Desired {
	w.Helper()
	f := w.observe()
	return d.Desired(w.input(&f))
}

func (w *world) changes(d rollout.Decision) diff.Changes {
	if d.ReadOnly {
		return diff.Changes{}
	}
	return w.layout.Changes(keys.Actual(w.raw, w.layout), w.desired(d))
}

// step decides once and writes that.
func (w *world) step() (rollout.Decision, diff.Changes) {
	w.Helper()
	d := w.decide()
	c := w.changes(d)
	if !d.ReadOnly {
		w.write(c, d.Ledger)
		if d.Halt != nil {
			w.control.Halt = d.Halt
		}
		if d.Rollback != nil {
			w.control.Pin, w.plan = d.Rollback, w.plan.DeepCopy()
			w.plan.Spec.Version = w.fallback.Version
		}
	}
	return d, c
}

func (w *world) write(c diff.Changes, l fleet.Ledger) {
	w.index++
	w.raw = keys.Apply(w.raw, w.layout, c, w.index)
	w.raw.Ledger = l
	w.raw.Ledger.Counter++
}

// settle makes a whole pass: it decides again until no host waits for a change of this pass. A further pass must change
// nothing.
func (w *world) settle() rollout.Decision {
	w.Helper()
	for range 5 {
		d, _ := w.step()
		if d.NeedsAnotherPass() {
			continue
		}
		again := w.decide()
		if c := w.changes(again); !c.Empty() {
			w.Fatalf("a second pass changes\n%s%s", shortly(c), verdictLines(again))
		}
		return d
	}
	w.Fatalf("a pass does not end:\n%s", verdictLines(w.decide()))
	return rollout.Decision{}
}

// verdictLines returns a line for each verdict.
func verdictLines(d rollout.Decision) string {
	var b strings.Builder
	for _, v := range d.Verdicts {
		fmt.Fprintf(&b, "%s %s %s: %s\n", v.Host, v.State, v.Reason, v.Message)
	}
	return b.String()
}

// shortly spells changes without what all keys begin with, and marks without their times.
func shortly(c diff.Changes) string {
	var b strings.Builder
	switch len(c.Trees) {
	case 1:
		b.WriteString("delete grants\n")
	case 2:
		b.WriteString("delete the tree\n")
	}
	for _, change := range c.List {
		key := change.Key()
		for _, prefix := range []string{"config_state/enable_puppet/", "upgrade.jiocloud.com/"} {
			key = strings.TrimPrefix(key, prefix)
		}
		value := change.To.Value
		if strings.HasPrefix(key, "started/") {
			value = "by " + keys.DecodeStarted(keys.Pair{Value: []byte(value), ModifyIndex: 1}).By
		}
		switch {
		case change.Op != diff.Delete && strings.HasPrefix(key, "grants/"):
			fmt.Fprintf(&b, "+%s\n", key)
		case change.Op == diff.Delete:
			fmt.Fprintf(&b, "-%s\n", key)
		case change.From.Index != 0 && change.From.Value == change.To.Value:
			fmt.Fprintf(&b, "+%s = %s (rewritten)\n", key, value)
		default:
			fmt.Fprintf(&b, "+%s = %s\n", key, value)
		}
	}
	return b.String()
}

// example is a row of a table: a fleet and a spec, and what comes of them.
type example struct {
	name  string
	fleet string
	spec  string
	// want is a line for each host: "web1 Upgrading Starting", or "web1 Upgrading Starting: part of the sentence". Lines
	// that begin with + or - are the changes, all of them and in order, if there are any; "no change" says there are
	// none. A line that begins with ! is part of a warning. A line "gate REASON" is what stops every start, "canaries N of M"
	// where these stand, and "back to N" the revision that is pinned.
	want string
}

// says: the sentence begins with "=" where it is the whole one.
func says(message, sentence string) bool {
	if whole, ok := strings.CutPrefix(sentence, "="); ok {
		return message == whole
	}
	return strings.Contains(message, sentence)
}

func check(t *testing.T, examples []example) {
	t.Helper()
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) { e.check(t) })
	}
}

func (e example) check(t *testing.T) {
	t.Helper()
	w := newWorld(t, e.fleet, e.spec)
	d := w.decide()
	changes := w.changes(d)
	var verdicts, wantVerdicts, wantChanges []string
	for _, v := range d.Verdicts {
		verdicts = append(verdicts, fmt.Sprintf("%s %s %s", v.Host, v.State, v.Reason))
	}
	for line := range strings.Lines(e.want) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case line == "no change":
			if !changes.Empty() {
				t.Errorf("it changes\n%s", shortly(changes))
			}
		case line == "complete" || line == "not complete":
			if d.Complete != (line == "complete") {
				t.Errorf("complete: %v", d.Complete)
			}
		case strings.HasPrefix(line, "canaries "):
			got := "canaries none"
			if c := d.Canary; c != nil {
				got = fmt.Sprintf("canaries %d of %d", c.Complete, c.Total)
			}
			if got != line {
				t.Errorf("%s, want %s", got, line)
			}
		case strings.HasPrefix(line, "back to "):
			if d.Rollback == nil || fmt.Sprintf("back to %d", d.Rollback.Revision) != line {
				t.Errorf("rollback %+v, want %s", d.Rollback, line)
			}
		case strings.HasPrefix(line, "gate "):
			if got := "gate " + string(d.Gate.Reason); got != line {
				t.Errorf("%s, want %s", got, line)
			}
		case line == "!no warning":
			if len(d.Warnings) != 0 {
				t.Errorf("warnings %q", d.Warnings)
			}
		case line[0] == '!':
			if !strings.Contains(strings.Join(d.Warnings, "\n"), line[1:]) {
				t.Errorf("no warning %q in %q", line[1:], d.Warnings)
			}
		case line[0] == '+' || line[0] == '-' || strings.HasPrefix(line, "delete "):
			wantChanges = append(wantChanges, line)
		default:
			verdict, sentence, _ := strings.Cut(line, ": ")
			host, _, _ := strings.Cut(verdict, " ")
			for _, h := range expand([]string{host}) {
				wantVerdicts = append(wantVerdicts, strings.Replace(verdict, host, h, 1))
				if i := slices.IndexFunc(d.Verdicts, func(v rollout.Verdict) bool { return v.Host == h }); i >= 0 &&
					!says(d.Verdicts[i].Message, sentence) {
					t.Errorf("of %s it says %q, not %q", h, d.Verdicts[i].Message, sentence)
				}
			}
		}
	}
	if diff := cmp.Diff(wantVerdicts, verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s%s", diff, verdictLines(d))
	}
	if len(wantChanges) > 0 {
		if diff := cmp.Diff(strings.Join(wantChanges, "\n")+"\n", shortly(changes)); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	}
	w.settle()
}
