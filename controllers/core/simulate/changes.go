// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"cmp"
	"slices"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// changes are those that the real Render and diff make of a decision. Keys that are and shall be the same are left out of
// both sides before they are compared: of a large fleet they are nearly all.
func (s *Simulation) changes(d *rollout.Decision) diff.Changes {
	desired := d.Desired(s.Now)
	if d.Switch { // it makes the tree anew, whatever stands there
		return s.Layout.Changes(keys.Actual(s.world.raw(), s.Layout), desired)
	}
	f := s.Fleet()
	some, marks := slices.Clone(s.world.unknown), []keys.Pair(nil)
	hosts := desired.Hosts[:0]
	enabled := 0
	for i := range d.Verdicts {
		v, h := &d.Verdicts[i], &f.Hosts[i]
		same := settled(v, h, cmp.Or(desired.Enabling, keys.Enabled))
		if v.Enable {
			if !same {
				hosts = append(hosts, desired.Hosts[enabled])
			}
			enabled++
		}
		switch {
		case !same:
			some = append(some, h.Name)
		case h.Started != nil && h.Started.By == fleet.ByController: // its mark may go all the same
			marks = append(marks, s.world.hosts[h.Name].started)
		}
	}
	desired.Hosts = append(hosts, desired.Hosts[enabled:]...) // and strangers
	raw := s.world.rawOf(some)
	raw.Started = append(raw.Started, marks...)
	return s.Layout.Changes(keys.Actual(raw, s.Layout), desired)
}

// settled says that the host's own key is what it shall be, or is not there and shall not be.
func settled(v *rollout.Verdict, h *fleet.Host, enabling string) bool {
	if h.Setting.Scope != fleet.ScopeHost {
		return !v.Enable
	}
	return v.Enable && !v.Renew && h.Setting.Text == enabling && h.Setting.Granted != 0
}
