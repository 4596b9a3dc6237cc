// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"cmp"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// The ranks of keys. Sets go from the first to the last, deletes in reverse.
const (
	rankMarker = iota
	rankKeep   // hosts that are already enabled
	rankHost   // hosts that start
	rankRole
	rankGlobal
	rankVersion
)

// Actual returns the existing keys that the output of Render is compared with: the enable_puppet tree, current_version, the
// action, the grants, the started markers that the controller wrote, and the pause keys that represent holds.
func Actual(s Snapshot, l Layout) diff.KeySet {
	set := make(diff.KeySet, 0, len(s.Config)+1)
	for _, p := range s.Config {
		rest, ok := strings.CutPrefix(p.Key, l.EnableTree())
		if !ok {
			if OfHold(p) {
				set = append(set, entry(p, rankMarker))
			}
			continue
		}
		switch scope, _ := splitEnable(rest); scope {
		case fleet.ScopeHost:
			set = append(set, entry(p, rankHost))
		case fleet.ScopeRole:
			set = append(set, entry(p, rankRole))
		case fleet.ScopeGlobal:
			set = append(set, entry(p, rankGlobal))
		}
	}
	if s.Current.Exists() {
		e := entry(s.Current, rankVersion)
		e.Value = DecodeVersion(s.Current.Value)
		set = append(set, e)
	}
	if s.Action.Exists() {
		set = append(set, diff.Entry{Key: s.Action.Key, Value: string(s.Action.Value), Index: s.Action.ModifyIndex})
	}
	for _, p := range s.Grants {
		set = append(set, diff.Entry{Key: p.Key, Value: string(p.Value), Index: p.ModifyIndex, Rank: rankHost})
	}
	for _, p := range s.Started {
		if m := DecodeStarted(p); m.By == fleet.ByController {
			set = append(set, diff.Entry{Key: p.Key, Value: string(p.Value), Flags: p.Flags, Index: p.ModifyIndex})
		}
	}
	return set
}

func entry(p Pair, rank int) diff.Entry {
	e := diff.Entry{Key: p.Key, Flags: p.Flags, Index: p.ModifyIndex, Rank: rank}
	switch string(p.Value) { // constants avoid a copy of each value
	case Enabled:
		e.Value = Enabled
	case Disabled:
		e.Value = Disabled
	default:
		e.Value = bounded(p.Value)
	}
	return e
}

// Render returns the desired keys. A disabling key that another writer chose stays, with its value normalized to False.
func Render(d fleet.Desired, l Layout, actual diff.KeySet) diff.KeySet {
	set := make(diff.KeySet, 0, len(d.Hosts)+len(d.Roles)+len(d.StartedMarkers)+len(d.Holds)+2)
	markers := entriesBelow(actual, l.StartedTree())
	for _, m := range d.StartedMarkers { // one that exists stays as it is
		e, exists := markers[l.Started(m.Host)]
		if !exists || m.Index == 0 {
			e = diff.Entry{Key: l.Started(m.Host), Value: string(EncodeStarted(m.Started)), Rank: rankMarker}
		}
		set = append(set, e)
	}
	for _, p := range d.Holds {
		set = append(set, diff.Entry{Key: l.Pause(p), Value: Disabled, Flags: HoldFlags, Rank: rankMarker})
	}
	if !d.Switch {
		set = l.enableKeys(set, d, actual)
	}
	if !d.Switch && !d.Rewrite {
		set = l.grants(set, d, actual)
	}
	// The switch deletes the whole tree, so global is written even if its value is unchanged.
	set = append(set, diff.Entry{Key: l.EnableGlobal(), Value: Disabled, Rank: rankGlobal, Renew: d.Switch})
	return l.version(set, d, actual)
}

// version appends current_version and its action. Each of them names the other: a host that finds only one of them does
// nothing.
func (l Layout) version(set diff.KeySet, d fleet.Desired, actual diff.KeySet) diff.KeySet {
	if d.Pending {
		for _, e := range actual {
			if e.Key == l.CurrentVersion() || e.Key == l.Action() {
				set = append(set, e)
			}
		}
		return set
	}
	current := diff.Entry{Key: l.CurrentVersion(), Value: d.Version, Rank: rankVersion, Renew: d.Switch || d.Rewrite,
		Flags: CurrentFlags(d.Rollout, d.Action != nil)}
	if d.Action != nil {
		set = append(set, diff.Entry{Key: l.Action(), Value: string(EncodeAction(*d.Action)), Rank: rankMarker})
	}
	return append(set, current)
}

// grants appends the grants. One that exists stays as it is.
func (l Layout) grants(set diff.KeySet, d fleet.Desired, actual diff.KeySet) diff.KeySet {
	existing := entriesBelow(actual, l.GrantTree())
	for _, g := range d.Grants {
		e := diff.Entry{Key: l.Grant(g.Host), Rank: rankHost}
		if g.Index != 0 {
			e = existing[e.Key]
		} else {
			e.Value = string(EncodeGrant(g.Grant))
		}
		set = append(set, e)
	}
	return set
}

// entriesBelow returns the entries below a tree by their keys.
func entriesBelow(set diff.KeySet, tree string) map[string]diff.Entry {
	found := map[string]diff.Entry{}
	for _, e := range set {
		if strings.HasPrefix(e.Key, tree) {
			found[e.Key] = e
		}
	}
	return found
}

// enableKeys appends the keys of hosts and roles.
func (l Layout) enableKeys(set diff.KeySet, d fleet.Desired, actual diff.KeySet) diff.KeySet {
	enabling := cmp.Or(d.Enabling, Enabled)
	kept := make(map[string]bool, len(d.Hosts)+len(d.Roles)) // of the granted keys, whether each stays as it is
	add := func(key string, g fleet.EnableKey, rank int) {
		if kept[key] = g.Keep; g.Keep {
			return
		}
		set = append(set, diff.Entry{Key: key, Value: enabling, Flags: grantFlags(g), Rank: rank, Renew: g.Renew})
	}
	for _, g := range d.Hosts {
		rank := rankKeep
		if g.Renew {
			rank = rankHost
		}
		add(l.EnableHost(g.Name), g, rank)
	}
	for _, g := range d.Roles {
		add(l.EnableRole(g.Name), g, rankRole)
	}
	for _, e := range actual {
		switch keep, granted := kept[e.Key]; {
		case keep:
			set = append(set, e)
		case !granted && (e.Rank == rankHost || e.Rank == rankRole) && disables(e.Value) && strings.HasPrefix(e.Key, l.EnableTree()):
			set = append(set, diff.Entry{Key: e.Key, Value: Disabled, Rank: e.Rank})
		}
	}
	return set
}

// disables reports whether a value means no, or has no meaning. A yes that is not desired was a grant, and is deleted
// instead.
func disables(value string) bool {
	s := DecodeEnableValue(Pair{Value: []byte(value), ModifyIndex: 1})
	return s.Value == fleet.False || s.Value == fleet.Invalid
}

// Changes returns the changes that turn the actual keys into the desired ones.
func (l Layout) Changes(actual diff.KeySet, d fleet.Desired) diff.Changes {
	if len(d.LostMarkers) > 0 {
		actual = slices.Clone(actual)
		for _, m := range d.LostMarkers {
			actual = append(actual, diff.Entry{Key: l.Started(m.Host), Index: m.Index})
		}
	}
	c := diff.Compute(actual, Render(d, l, actual))
	switch {
	case d.Rewrite: // no grant survives a new number of the rollout
		c.Trees, c.Atomic = []string{l.GrantTree()}, []string{l.CurrentVersion(), l.Action()}
	case d.Switch:
		c.Trees = []string{l.EnableTree(), l.GrantTree()}
		c.Atomic = []string{l.CurrentVersion(), l.Action()}
	}
	return c
}
