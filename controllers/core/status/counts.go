// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Counts are the lengths of the lists of [Sets], for the hosts of one role. Hosts without a role have the role "".
type Counts struct {
	Role                         string
	Upgraded, Upgrading, Pending int
}

func (c *Counts) add(base rollout.State) {
	switch base {
	case rollout.Upgraded:
		c.Upgraded++
	case rollout.Upgrading:
		c.Upgrading++
	default:
		c.Pending++
	}
}

// CountByRole returns the counts of each role in natural order, and those of all hosts.
func CountByRole(d *rollout.Decision) (roles []Counts, total Counts) {
	counts := map[string]*Counts{}
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		if counts[v.Role] == nil {
			counts[v.Role] = &Counts{Role: v.Role}
		}
		counts[v.Role].add(v.Base)
		total.add(v.Base)
	}
	for _, role := range fleet.NaturalKeys(counts) {
		roles = append(roles, *counts[role])
	}
	return roles, total
}
