// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import "github.com/jiocloud/upgrade-controller/controllers/core/fleet"

// Snapshot is one read of a fleet's keys.
type Snapshot struct {
	Current Pair
	// Action is what hosts run in place of an upgrade.
	Action Pair
	// Config holds everything below config_state/.
	Config []Pair
	// RecordKeys holds all keys below the tree of records, sorted. Records holds those that were read with their values,
	// in any order. See WantedRecords.
	RecordKeys []string
	Records    []Pair
	// RecordIndex is the index of the read of RecordKeys.
	RecordIndex uint64
	// Grants, Started, Reports and Holds hold everything below their trees.
	Grants, Started, Reports, Holds []Pair
	// Checks holds the failing checks of the hosts' nodes, sorted by node, then id.
	Checks []fleet.Check
	// Nodes holds the names of all nodes in the catalog, sorted. Nil means that they were not read.
	Nodes []string
	// Ledger is the plan's ledger. It is zero without a plan.
	Ledger fleet.Ledger
	// Incomplete says why the snapshot may lack keys. Empty means that it is complete.
	Incomplete string
}

// Hold returns the pair of a hold. It does not exist if there is no such hold.
func (s *Snapshot) Hold(key string) Pair {
	for _, p := range s.Holds {
		if p.Key == key {
			return p
		}
	}
	return Pair{Key: key}
}

// newestIndex returns the highest index in the snapshot.
func (s *Snapshot) newestIndex() uint64 {
	newest := max(s.RecordIndex, s.Current.ModifyIndex, s.Action.ModifyIndex)
	for _, list := range [][]Pair{s.Config, s.Records, s.Grants, s.Started, s.Reports, s.Holds} {
		for i := range list {
			newest = max(newest, list[i].ModifyIndex)
		}
	}
	return newest
}

// Versions returns the versions that have records, in the order of their keys. A version of two trees is there twice.
func (s Snapshot) Versions(l Layout) []string {
	trees := l.RecordTrees()
	var names []string
	for _, v := range byVersion(s.RecordKeys, trees) {
		names = append(names, v.keys[0][len(trees.Of(v.keys[0])):v.host-1])
	}
	return names
}
