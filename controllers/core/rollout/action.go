// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// cannotAct: only an agent knows of actions, and one on a host without a version does nothing before it has one.
func (p *planner) cannotAct(h *fleet.Host, s *hostState) (string, bool) {
	if p.out.Action == nil {
		return "", false
	}
	why := ""
	switch {
	case !h.Agent():
		why = "it was never seen as an agent, and only agents run command "
	case h.Record.Version == "" && h.Report.Version == "":
		why = "it has no version yet, which comes before command "
	default:
		return "", false
	}
	return p.words.once(wordKey{v1alpha1.ReasonCannotAct, why + slot(s), 0}, func() string {
		return why + p.out.Action.Name + ": it is never released for that" + slot(s)
	}), true
}

// inTheField says how many hosts that count do not understand the name of a version in a key that enables; empty: none, or
// no key shall hold one.
func (p *planner) inTheField() string {
	if p.spec.Keys.Format != v1alpha1.VersionKeys {
		return ""
	}
	total, first := 0, []string(nil)
	for i := range p.hosts {
		if h := &p.in.Fleet.Hosts[i]; p.hosts[i].counts && !h.Agent() {
			if total++; len(first) < maxNames {
				first = append(first, h.Name)
			}
		}
	}
	if total == 0 {
		p.out.Enabling = p.target
		return ""
	}
	return fmt.Sprintf("spec.keys.format is Version, and %d of %d hosts were never seen as agents (%s): they read any value but "+
		"False as a yes", total, p.teams.fleet.counted, names(first, total))
}
