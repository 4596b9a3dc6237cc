// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// calibration is a rule of the protocol that is taken away. The simulation must find what follows from that.
type calibration struct {
	name string
	seams
	// rule names the fault. No other rule is checked.
	rule string
	// slow says that go test looks for it with UPGRADE_DST_CALIBRATE=1 only.
	slow bool
}

// calibrations take away one rule each. The names are those of the table in docs/design/simulation.md.
func calibrations() []calibration {
	return slices.Concat(agentCalibrations(), stopCalibrations(), controllerCalibrations())
}

// agentCalibrations take away rules by which agents start.
func agentCalibrations() []calibration {
	var l keys.Layout
	return []calibration{
		{"agents change their version by keys, not by grants", seams{pairs: ungoverned}, "limit", true},
		{"agents start without a grant", seams{pairs: ungoverned}, "grant", false},
		{"a start leaves its grant, and agents remember none", seams{options: forgetful, ops: without(func(p *process, op store.Op) bool {
			return p.machine != nil && op.Verb == store.DeleteCAS && strings.HasPrefix(op.Key, l.GrantTree())
		})}, "one-time", false},
		{"agents remember no grant and no rollout", seams{options: forgetful}, "one-time", true},
		{"agents remember no rollout", seams{options: forgetful}, "went back", true},
		{"reports do not say the rollout", seams{ops: editedReports(func(r *fleet.Report) { r.Rollout = 0 })}, "convergence", true},
		{"neither reports nor keys say the grant", seams{ops: editedReports(func(r *fleet.Report) { r.Reached.Grant = "" }), pairs: withoutGrantTimes},
			"unexplained", false},
		{"a start writes no marker", drop(func(p *process, op store.Op) bool {
			return p.machine != nil && op.Verb == store.Set && strings.HasPrefix(op.Key, l.StartedTree())
		}), "again", true},
		{"agents do not know their machines", seams{options: func(o *agent.Options) { o.Machine = nil }}, "duplicate", true},
	}
}

// stopCalibrations take away rules by which orders stop a fleet.
func stopCalibrations() []calibration {
	var l keys.Layout
	plan := keys.Plan(planName)
	return []calibration{
		{"stops do not set holds/fleet", drop(func(_ *process, op store.Op) bool { return op.Key == l.HoldFleet() }), "stop", true},
		{"a start does not check holds/epoch", drop(func(p *process, op store.Op) bool {
			return p.machine != nil && op.Key == l.HoldEpoch() && op.Verb == store.CheckIndex
		}), "stop", true},
		{"a hold does not stop agents", seams{pairs: withoutHolds}, "stop", true},
		{"a commit does not check orders", drop(func(p *process, op store.Op) bool {
			return p.leads && op.Verb == store.CheckIndex && (op.Key == plan.Spec() || op.Key == plan.Control() || op.Key == l.HoldEpoch())
		}), "stop", true},
	}
}

// controllerCalibrations take away rules by which controllers grant.
func controllerCalibrations() []calibration {
	plan := keys.Plan(planName)
	control := func(edit func(map[string]any)) seams { return seams{pairs: editedJSON(plan.Control(), edit)} }
	spec := func(edit func(map[string]any)) seams {
		return seams{pairs: editedJSON(plan.Spec(), func(plan map[string]any) {
			if spec, ok := plan["spec"].(map[string]any); ok {
				edit(spec)
			}
		})}
	}
	return []calibration{
		{"the audit log has no head", drop(func(_ *process, op store.Op) bool { return op.Key == audit.HeadKey(planName) }), "audit", false},
		{"the controller does not know running_version", seams{hides: func(p *process, prefix string) bool {
			return p.leads && strings.HasPrefix(prefix, keys.RunningVersionsOld)
		}}, "convergence", true},
		{"a commit checks neither the lock nor the ledger", seams{ops: unfenced}, "limit", true},
		{"records say at which version agents are", seams{pairs: reportsByRecords}, "order", true},
		{"all hosts that have a record count", seams{pairs: editedJSON(plan.Ledger(), func(ledger map[string]any) { delete(ledger, "base") })}, "limit", true},
		{"a failure frees the slot of a host that tries again", seams{pairs: withoutWaiting}, "limit", true},
		{"the controller reads no roleOrder", spec(func(spec map[string]any) {
			if instructions, ok := spec["instructions"].(map[string]any); ok {
				delete(instructions, "roleOrder")
			}
		}), "order", true},
		{"the controller reads no windows", spec(func(spec map[string]any) { delete(spec, "windows") }), "window", true},
		{"hosts in maintenance take no slots", seams{checks: func(checks []fleet.Check) []fleet.Check {
			return slices.DeleteFunc(checks, func(c fleet.Check) bool { return c.ID == fleet.NodeMaintenance })
		}}, "maintenance", true},
		{"the controller reads no checks", seams{checks: func([]fleet.Check) []fleet.Check { return nil }}, "health", true},
		{"the controller reads no failures", seams{pairs: withoutFailures}, "budget", true},
		{"a rollback goes by the earlier revision alone", control(func(control map[string]any) {
			if pin, ok := control["pin"].(map[string]any); ok {
				delete(pin, "policy")
			}
		}), "budget", true},
		{"a pass is not repeated when it asks for that", seams{sleepy: true}, "late", true},
		{"a failed host cannot be set aside", control(func(control map[string]any) { delete(control, "setAside") }), "convergence", true},
		{"soaks are measured by a clock that is an hour behind", seams{pairs: editedJSON(plan.Ledger(), anHourEarlier)}, "soak", true},
	}
}

// drop leaves out some of the operations of transactions.
func drop(drops func(*process, store.Op) bool) seams { return seams{ops: without(drops)} }

// ungoverned lets agents read current_version as one that an earlier release wrote.
func ungoverned(p *process, pairs []keys.Pair) []keys.Pair {
	if p.machine == nil {
		return pairs
	}
	return edited(pairs, func(pair *keys.Pair) {
		if pair.Key == (keys.Layout{}).CurrentVersion() {
			pair.Flags = 0
		}
	})
}

// withoutHolds lets agents read no hold.
func withoutHolds(p *process, pairs []keys.Pair) []keys.Pair {
	var l keys.Layout
	if p.machine == nil {
		return pairs
	}
	return edited(pairs, func(pair *keys.Pair) {
		if strings.HasPrefix(pair.Key, l.HoldTree()) && pair.Key != l.HoldEpoch() {
			*pair = keys.Pair{Key: pair.Key}
		}
	})
}

// withoutWaiting lets controllers read no marker of a host that waits for its next attempt.
func withoutWaiting(p *process, pairs []keys.Pair) []keys.Pair {
	if !p.leads {
		return pairs
	}
	waits := func(pair keys.Pair) bool {
		if !strings.HasPrefix(pair.Key, keys.Layout{}.StartedTree()) {
			return false
		}
		marker := keys.DecodeStarted(pair)
		return marker != nil && marker.Waiting
	}
	if len(pairs) > 0 && strings.HasPrefix(pairs[0].Key, keys.Layout{}.StartedTree()) { // the list of all markers
		return slices.DeleteFunc(slices.Clone(pairs), waits)
	}
	return edited(pairs, func(pair *keys.Pair) {
		if waits(*pair) {
			*pair = keys.Pair{Key: pair.Key}
		}
	})
}

// withoutGrantTimes lets controllers read keys of hosts as keys that others wrote.
func withoutGrantTimes(p *process, pairs []keys.Pair) []keys.Pair {
	if !p.leads {
		return pairs
	}
	return edited(pairs, func(pair *keys.Pair) {
		if strings.HasPrefix(pair.Key, keys.Layout{}.EnableHost("")) {
			pair.Flags = 0
		}
	})
}

// reportsByRecords lets controllers read reports that agree with the records, which each agent can write.
func reportsByRecords(p *process, pairs []keys.Pair) []keys.Pair {
	if !p.leads {
		return pairs
	}
	return edited(pairs, func(pair *keys.Pair) {
		host, ok := strings.CutPrefix(pair.Key, keys.Layout{}.ReportTree())
		report := keys.DecodeReport(*pair)
		if !ok || report == nil {
			return
		}
		for _, version := range versions() {
			if p.world.referee.get(keys.Layout{}.Record(version, host)).Exists() {
				report.Version, report.Phase = version, fleet.PhaseIdle
				pair.Value = keys.EncodeReport(*report)
			}
		}
	})
}

// withoutFailures lets controllers read that a host which failed still works.
func withoutFailures(p *process, pairs []keys.Pair) []keys.Pair {
	if !p.leads {
		return pairs
	}
	return edited(pairs, func(pair *keys.Pair) {
		if !strings.HasPrefix(pair.Key, keys.Layout{}.ReportTree()) {
			return
		}
		if report := keys.DecodeReport(*pair); report != nil && report.Phase == fleet.PhaseFailed {
			report.Phase = fleet.PhaseUpgrading
			pair.Value = keys.EncodeReport(*report)
		}
	})
}

// editedJSON lets controllers read another object below a key.
func editedJSON(key string, edit func(map[string]any)) func(*process, []keys.Pair) []keys.Pair {
	return func(p *process, pairs []keys.Pair) []keys.Pair {
		if !p.leads {
			return pairs
		}
		return edited(pairs, func(pair *keys.Pair) {
			var object map[string]any
			decoder := json.NewDecoder(bytes.NewReader(pair.Value))
			decoder.UseNumber()
			if pair.Key != key || decoder.Decode(&object) != nil {
				return
			}
			edit(object)
			if value, err := json.Marshal(object); err == nil {
				pair.Value = value
			}
		})
	}
}

// anHourEarlier sets the watermarks of a ledger back.
func anHourEarlier(ledger map[string]any) {
	marks, _ := ledger["watermarks"].([]any)
	for _, mark := range marks {
		mark, ok := mark.(map[string]any)
		at, isNumber := mark["time"].(json.Number)
		if seconds, err := at.Int64(); ok && isNumber && err == nil {
			mark["time"] = seconds - 3600
		}
	}
}

// unfenced lets a controller commit without its lock, and over any ledger.
func unfenced(p *process, ops []store.Op) []store.Op {
	if !p.leads {
		return ops
	}
	ops = slices.DeleteFunc(slices.Clone(ops), func(op store.Op) bool { return op.Verb == store.CheckSession })
	for i := range ops {
		if ops[i].Key == keys.Plan(planName).Ledger() && ops[i].Verb == store.CAS {
			ops[i].Verb = store.Set
		}
	}
	return ops
}

func edited(pairs []keys.Pair, edit func(*keys.Pair)) []keys.Pair {
	pairs = slices.Clone(pairs)
	for i := range pairs {
		edit(&pairs[i])
	}
	return pairs
}

// editedReports lets hosts write other reports.
func editedReports(edit func(*fleet.Report)) func(*process, []store.Op) []store.Op {
	return func(p *process, ops []store.Op) []store.Op {
		if p.machine == nil {
			return ops
		}
		ops = slices.Clone(ops)
		for i := range ops {
			if !strings.HasPrefix(ops[i].Key, keys.Layout{}.ReportTree()) || len(ops[i].Value) == 0 {
				continue
			}
			var report fleet.Report
			if json.Unmarshal(ops[i].Value, &report) == nil {
				edit(&report)
				ops[i].Value = keys.EncodeReport(report)
			}
		}
		return ops
	}
}

// forgetful lets an agent forget each rollout and grant.
func forgetful(o *agent.Options) { o.Memory = noMemory{} }

type noMemory struct{}

func (noMemory) Load() (agent.Remembered, bool, error) { return agent.Remembered{}, false, nil }
func (noMemory) Save(agent.Remembered) error           { return nil }

// No rule of the referee is blind: a fault breaks it.
func TestCalibrations_BreakEachRule(t *testing.T) {
	for _, rule := range ruleNames() {
		if !slices.ContainsFunc(calibrations(), func(c calibration) bool { return c.rule == rule }) {
			t.Errorf("no fault breaks the rule %q", rule)
		}
	}
}

// calibrationSteps is within how many steps each fault must be found.
const calibrationSteps = 400_000

// The simulation finds what goes wrong without a rule. The log has the numbers of docs/design/simulation.md.
func TestSimulation_FindsRevertedFixes(t *testing.T) {
	for _, c := range calibrations() {
		if c.slow && os.Getenv("UPGRADE_DST_CALIBRATE") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			steps, seams := 0, c.seams
			seams.only = c.rule
			for seed := uint64(1); steps < calibrationSteps; seed++ {
				r := run(t, newScenario(seed, stepsOfRun), seams)
				steps += r.steps
				if r.violation == "" {
					continue
				}
				t.Logf("found after %d steps in %d runs: %s: %s", steps, seed, r.rule, r.violation)
				return
			}
			t.Errorf("not found in %d steps", steps)
		})
	}
}
