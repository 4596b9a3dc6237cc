// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// busyPrefixMinInterval is the interval between events of two trees in a fleet of more than maxSmallFleet hosts: the reports,
	// since those that matter at once come with a record, and config_state/, which fires for each own commit and is verified
	// before each.
	busyPrefixMinInterval = 10 * time.Second
	maxSmallFleet         = 1000
	checksMinInterval     = 5 * time.Second
	nodesMinInterval      = 10 * time.Second
)

// plansWatch is the watch on the specs and orders of all plans. All plans share one blocking query for it.
func plansWatch() store.Watch { return store.WatchKeys(keys.PlansEpoch) }

// ExpectedTurns returns how the watches of the controller share its queries, if each of a number of plans has as many watches as
// the given one.
func ExpectedTurns(a *pass.Assessment, plans int) store.Turns {
	shared := 1
	return store.ShareQueries(plans*(len(Watches(a))-shared)+shared, store.PoolQueries)
}

// Watches returns the watches on all that an assessment depends on. Started markers are not among them, because each is
// written with a report.
func Watches(a *pass.Assessment) []store.Watch {
	l, interval := a.Layout, time.Duration(0)
	if len(a.Keys.RecordKeys) > maxSmallFleet {
		interval = busyPrefixMinInterval
	}
	watches := []store.Watch{store.WatchKeys(l.CurrentVersion()), store.WatchKeys(l.HoldTree()),
		{Target: store.WatchTarget{Prefix: l.ConfigState()}, MinInterval: interval},
		{Target: store.WatchTarget{Kind: store.FlatKeyTree, Prefix: l.ReportTree()}, MinInterval: interval}}
	for _, tree := range l.RecordTrees() {
		// A watch on an empty tree wakes for every write to the store. The first record may come to any tree.
		if a.Keys.AnyRecord(tree) || len(a.Keys.RecordKeys) == 0 {
			watches = append(watches, store.WatchKeys(tree))
		}
	}
	if a.Keys.Action.Exists() { // a watch on a missing key would wake for every write to the store
		watches = append(watches, store.WatchKeys(l.Action()))
	}
	if a.Plan == nil {
		return watches
	}
	watches = append(watches, plansWatch())
	if planstore.ReadsChecks(&a.Plan.Spec) { // it fires for any check, also for new output of a passing one
		watches = append(watches, store.Watch{Target: store.WatchTarget{Kind: store.Checks}, MinInterval: checksMinInterval})
	}
	if a.Plan.Spec.Hosts.Source == v1alpha1.HostsFromCatalog {
		watches = append(watches, store.Watch{Target: store.WatchTarget{Kind: store.Nodes}, MinInterval: nodesMinInterval})
	}
	return watches
}
