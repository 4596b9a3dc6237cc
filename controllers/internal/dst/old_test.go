// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// readsAsOld returns what an agent of the release before grants reads: it knows no governed fleet, no grants, and no hold on the
// fleet. It is the agent of this release behind that, since it goes by host keys in a fleet that is not governed.
func (m *machine) readsAsOld(pairs []keys.Pair) []keys.Pair {
	if m == nil || !m.old {
		return pairs
	}
	var l keys.Layout
	return edited(pairs, func(pair *keys.Pair) {
		switch {
		case pair.Key == l.CurrentVersion():
			pair.Flags = 0
		case pair.Key == l.Grant(m.name), pair.Key == l.HoldFleet():
			*pair = keys.Pair{Key: pair.Key}
		}
	})
}

// newFields are what that release did not write into reports and started markers.
func newFields() []string {
	return []string{"schema", "agentVersion", "reached", "machine", "otherMachine", "rollout", "grant", "attempt", "attemptRollout", "waiting",
		"durationSeconds"}
}

// writesAsOld returns what such an agent writes.
func (m *machine) writesAsOld(ops []store.Op) []store.Op {
	if m == nil || !m.old {
		return ops
	}
	var l keys.Layout
	ops = slices.Clone(ops)
	for i, op := range ops {
		var object map[string]any
		if !slices.Contains([]string{l.Report(m.name), l.Started(m.name)}, op.Key) || json.Unmarshal(op.Value, &object) != nil {
			continue
		}
		for _, field := range newFields() {
			delete(object, field)
		}
		value, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		ops[i].Value = value
	}
	return slices.DeleteFunc(ops, func(op store.Op) bool { return strings.HasPrefix(op.Key, l.GrantTree()) })
}

// renewAgent replaces an agent of the earlier release by one of this release.
func (w *world) renewAgent() {
	i := slices.IndexFunc(w.machines, func(m *machine) bool { return m.old && !m.truth.gone })
	if i < 0 {
		return
	}
	m := w.machines[i]
	w.note("fault", m.name+": an agent of this release", "")
	m.kill()
	m.old = false
	m.boot()
}
