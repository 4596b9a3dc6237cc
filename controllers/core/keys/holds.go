// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// decodeHolds finds the holds that have not expired, and those that need a pause key for legacy hosts.
func (d *decoder) decodeHolds() {
	d.holdOf = map[fleet.Place]*fleet.Hold{}
	for _, p := range d.snapshot.Holds {
		h := DecodeHold(p)
		if h == nil || h.Expired(d.options.Now) {
			continue
		}
		if p.Key == d.layout.HoldFleet() {
			d.fleetHold = h
			continue
		}
		name := strings.TrimPrefix(p.Key, d.layout.HoldTree())
		place, ok := PlaceOf(name)
		if !ok { // the epoch
			continue
		}
		d.holdOf[place] = h
		if _, own := d.paused[name]; !own {
			d.holdPlaces = append(d.holdPlaces, place)
		}
	}
	for _, name := range d.ofHold {
		if place, ok := PlaceOf(name); !ok || d.holdOf[place] == nil {
			d.note("%s%s/enable_puppet represents a hold that has ended; the next pass removes it", d.layout.ConfigState(), name)
		}
	}
}

// stopOf fills in the pause and the hold of a host. The most specific pause key that is set decides.
func (d *decoder) stopOf(h *fleet.Host) {
	if len(d.paused) > 0 {
		for _, at := range []struct {
			scope fleet.Scope
			name  string
		}{{fleet.ScopeHost, "host/" + h.Name}, {fleet.ScopeRole, "role/" + h.LookupRole}, {fleet.ScopeGlobal, "global"}} {
			if stops, set := d.paused[at.name]; set {
				if stops {
					h.PausedBy = at.scope
				}
				break
			}
		}
	}
	if len(d.holdOf) > 0 {
		if hold := d.holdOf[fleet.Place{Scope: fleet.ScopeHost, Name: h.Name}]; hold != nil {
			h.Hold, h.HoldScope = hold, fleet.ScopeHost
		} else if hold := d.holdOf[fleet.Place{Scope: fleet.ScopeRole, Name: h.Role}]; hold != nil {
			h.Hold, h.HoldScope, h.HoldRole = hold, fleet.ScopeRole, h.Role
		} else if hold := d.holdOf[fleet.Place{Scope: fleet.ScopeRole, Name: h.LookupRole}]; hold != nil {
			h.Hold, h.HoldScope, h.HoldRole = hold, fleet.ScopeRole, h.LookupRole
		}
	}
}
