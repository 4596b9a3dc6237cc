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

// changes returns the changes of a decision, as the real Render and diff compute them. Unchanged keys, nearly all in a large
// fleet, are left out of both sides before the comparison.
func (s *Simulation) changes(d *rollout.Decision) diff.Changes {
	desired := d.Desired(s.Input())
	if d.Switch { // replaces the whole tree
		return s.Layout.Changes(keys.Actual(s.world.snapshot(), s.Layout), desired)
	}
	f := s.Fleet()
	some, markers := slices.Clone(s.world.unknownHosts), []keys.Pair(nil)
	hosts, grants := desired.Hosts[:0], desired.Grants[:0]
	enabled, granted := 0, 0
	for i := range d.Verdicts {
		v, h := &d.Verdicts[i], &f.Hosts[i]
		same := unchanged(v, h, cmp.Or(desired.Enabling, keys.Enabled))
		if v.Enable {
			if !same {
				hosts = append(hosts, desired.Hosts[enabled])
			}
			enabled++
		}
		if v.Grant != nil {
			if !same {
				grants = append(grants, desired.Grants[granted])
			}
			granted++
		}
		switch {
		case !same:
			some = append(some, h.Name)
		case h.Started != nil && h.Started.By == fleet.ByController: // the marker may still be removed
			markers = append(markers, s.world.hosts[h.Name].started)
		}
	}
	desired.Hosts = append(hosts, desired.Hosts[enabled:]...) // and keys of unknown hosts
	desired.Grants = grants
	raw := s.world.snapshotOf(some)
	raw.Started = append(raw.Started, markers...)
	return s.Layout.Changes(keys.Actual(raw, s.Layout), desired)
}

// unchanged reports whether the host's own key and its grant already have the desired state.
func unchanged(v *rollout.Verdict, h *fleet.Host, enabling string) bool {
	if v.Grant != h.Grant { // a grant that stays is the same one
		return false
	}
	if h.Setting.Scope != fleet.ScopeHost {
		return !v.Enable
	}
	return v.Enable && !v.Renew && h.Setting.Text == enabling && h.Setting.Granted != 0
}
