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
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// calibration is a rule of the protocol that is taken away. The simulation must find what follows from that.
type calibration struct {
	name string
	seams
	// rules are those that may be broken.
	rules []string
	// slow says that go test looks for it with UPGRADE_DST_CALIBRATE=1 only.
	slow bool
}

// calibrations take away one rule each. The names are those of the table in docs/design/simulation.md.
func calibrations() []calibration {
	var l keys.Layout
	plan := keys.Plan(planName)
	host := func(p *process) bool { return p.machine != nil }
	drop := func(drops func(*process, store.Op) bool) seams { return seams{ops: without(drops)} }
	return []calibration{
		{"agents change their version by keys, not by grants", seams{pairs: ungoverned, ignore: []string{"grant"}}, []string{"limit", "stop", "went back"}, true},
		{"a start leaves its grant, and agents remember none", seams{options: forgetful, ops: without(func(p *process, op store.Op) bool {
			return host(p) && op.Verb == store.DeleteCAS && strings.HasPrefix(op.Key, l.GrantTree())
		})}, []string{"one-time"}, false},
		{"agents remember no grant and no rollout", seams{options: forgetful}, []string{"one-time", "went back"}, true},
		{"stops do not set holds/fleet", drop(func(_ *process, op store.Op) bool { return op.Key == l.HoldFleet() }), []string{"stop"}, true},
		{"reports do not say the rollout", seams{ops: withoutRollouts}, []string{"convergence", "limit", "stop", "late"}, true},
		{"the controller does not know running_version", seams{hides: func(p *process, prefix string) bool {
			return p.leads && strings.HasPrefix(prefix, keys.RunningVersionsOld)
		}}, []string{"limit", "order", "convergence"}, false},
		{"a start does not check holds/epoch", drop(func(p *process, op store.Op) bool {
			return host(p) && op.Key == l.HoldEpoch() && op.Verb == store.CheckIndex
		}), []string{"stop"}, true},
		{"a hold does not stop agents", seams{pairs: withoutHolds}, []string{"stop"}, true},
		{"a start writes no marker", drop(func(p *process, op store.Op) bool {
			return host(p) && op.Verb == store.Set && strings.HasPrefix(op.Key, l.StartedTree())
		}), []string{"limit"}, true},
		{"a commit does not check orders", drop(func(p *process, op store.Op) bool {
			return p.leads && op.Verb == store.CheckIndex && (op.Key == plan.Spec() || op.Key == plan.Control() || op.Key == l.HoldEpoch())
		}), []string{"stop"}, false},
		{"a commit checks neither the lock nor the ledger", seams{ops: unfenced}, []string{"limit", "order", "soak"}, true},
		{"hosts in maintenance take no slots", seams{checks: func(checks []fleet.Check) []fleet.Check {
			return slices.DeleteFunc(checks, func(c fleet.Check) bool { return c.ID == fleet.NodeMaintenance })
		}}, []string{"maintenance"}, true},
		{"the controller reads no checks", seams{checks: func([]fleet.Check) []fleet.Check { return nil }}, []string{"health", "maintenance"}, true},
		{"a rollback goes by the earlier revision alone", seams{pairs: editedJSON(plan.Control(), func(control map[string]any) {
			if pin, ok := control["pin"].(map[string]any); ok {
				delete(pin, "policy")
			}
		})}, []string{"budget", "convergence"}, true},
		{"a pass is not repeated when it asks for that", seams{sleepy: true}, []string{"late", "convergence"}, true},
		{"a failed host cannot be set aside", seams{pairs: editedJSON(plan.Control(), func(control map[string]any) { delete(control, "setAside") })},
			[]string{"convergence"}, true},
		{"agents do not know their machines", seams{options: func(o *agent.Options) { o.Machine = nil }}, []string{"duplicate"}, true},
		{"soaks are measured by a clock that is an hour behind", seams{pairs: editedJSON(plan.Ledger(), anHourEarlier)}, []string{"soak"}, true},
	}
}

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

// withoutRollouts removes the numbers of rollouts from reports.
func withoutRollouts(p *process, ops []store.Op) []store.Op {
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
			report.Rollout = 0
			ops[i].Value = keys.EncodeReport(report)
		}
	}
	return ops
}

// forgetful lets an agent forget each rollout and grant.
func forgetful(o *agent.Options) { o.Memory = noMemory{} }

type noMemory struct{}

func (noMemory) Load() (agent.Remembered, bool, error) { return agent.Remembered{}, false, nil }
func (noMemory) Save(agent.Remembered) error           { return nil }

// calibrationSteps is within how many steps each fault must be found.
const calibrationSteps = 400_000

// The simulation finds what goes wrong without a rule. The log has the numbers of docs/design/simulation.md.
func TestSimulation_FindsRevertedFixes(t *testing.T) {
	for _, c := range calibrations() {
		if c.slow && os.Getenv("UPGRADE_DST_CALIBRATE") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			steps := 0
			for seed := uint64(1); steps < calibrationSteps; seed++ {
				r := run(t, newScenario(seed, stepsOfRun), c.seams)
				steps += r.steps
				if r.violation == "" {
					continue
				}
				if !slices.Contains(c.rules, r.rule) {
					t.Errorf("another rule is broken: %s: %s", r.rule, r.violation)
				}
				t.Logf("found after %d steps in %d runs: %s: %s", steps, seed, r.rule, r.violation)
				return
			}
			t.Errorf("not found in %d steps", steps)
		})
	}
}
