// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// HostLists reads which hosts of a fleet are upgraded, upgrading and pending, and decides nothing. A nil plan means the fleet
// of the layout. Incomplete says why hosts may be missing. Empty means that none is.
func HostLists(ctx context.Context, s store.Reader, plan *v1alpha1.UpgradePlan, l keys.Layout, now time.Time) (
	sets status.HostLists, incomplete string, err error) {
	if plan != nil {
		l = Layout(plan)
	}
	compiled, err := Compile(plan)
	if err != nil {
		return status.HostLists{}, "", err
	}
	raw, err := fleetstore.ReadFleet(ctx, s, l, fleetstore.SnapshotOptions{})
	if err != nil {
		return status.HostLists{}, "", err
	}
	f := keys.Decode(raw, l, keys.Options{Now: now, RolePattern: compiled.RolePattern()})
	sets = status.HostLists{Upgraded: []string{}, Upgrading: []string{}, Pending: []string{}}
	for i, base := range rollout.Bases(rollout.Input{Plan: compiled, Fleet: &f, Now: now}) {
		list := &sets.Pending
		switch base {
		case rollout.Upgraded:
			list = &sets.Upgraded
		case rollout.Upgrading:
			list = &sets.Upgrading
		}
		*list = append(*list, f.Hosts[i].Name)
	}
	return sets, f.Incomplete, nil
}
