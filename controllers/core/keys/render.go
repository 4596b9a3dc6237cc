// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"cmp"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// The ranks of keys: sets go from the first to the last, deletes the other way round.
const (
	rankMark = iota
	rankKeep // hosts that are enabled already
	rankHost // hosts that start
	rankRole
	rankGlobal
	rankVersion
)

// Actual are the keys that Render is compared with: the enable_puppet tree, current_version and the action, the marks that the
// controller set, and the pause keys that stand for holds.
func Actual(raw Snapshot, l Layout) diff.KeySet {
	set := make(diff.KeySet, 0, len(raw.Config)+1)
	for _, p := range raw.Config {
		rest, ok := strings.CutPrefix(p.Key, l.EnableTree())
		if !ok {
			if OfHold(p) {
				set = append(set, entry(p, rankMark))
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
	if raw.Current.Exists() {
		e := entry(raw.Current, rankVersion)
		e.Value = DecodeVersion(raw.Current.Value)
		set = append(set, e)
	}
	if raw.Action.Exists() {
		set = append(set, diff.Entry{Key: raw.Action.Key, Value: string(raw.Action.Value), Index: raw.Action.ModifyIndex})
	}
	for _, p := range raw.Started {
		if s := DecodeStarted(p); s.By == fleet.ByController {
			set = append(set, diff.Entry{Key: p.Key, Value: string(p.Value), Flags: p.Flags, Index: p.ModifyIndex})
		}
	}
	return set
}

func entry(p Pair, rank int) diff.Entry {
	e := diff.Entry{Key: p.Key, Flags: p.Flags, Index: p.ModifyIndex, Rank: rank}
	switch string(p.Value) { // without a copy of each
	case Enabled:
		e.Value = Enabled
	case Disabled:
		e.Value = Disabled
	default:
		e.Value = bounded(p.Value)
	}
	return e
}

// Render is the keys that say what is desired. A key that disables, that somebody else wrote, stays, spelled properly.
func Render(d fleet.Desired, l Layout, actual diff.KeySet) diff.KeySet {
	set := make(diff.KeySet, 0, len(d.Hosts)+len(d.Roles)+len(d.StartedMarkers)+len(d.Holds)+2)
	for _, m := range d.StartedMarkers {
		set = append(set, diff.Entry{Key: l.Started(m.Host), Value: string(EncodeStarted(m.Started)), Rank: rankMark})
	}
	for _, p := range d.Holds {
		set = append(set, diff.Entry{Key: l.Pause(p), Value: Disabled, Flags: HoldFlags, Rank: rankMark})
	}
	if !d.Switch {
		set = l.grants(set, d, actual)
	}
	// The switch deletes the whole tree: what shall stand in it is written even if it says the same.
	set = append(set, diff.Entry{Key: l.EnableGlobal(), Value: Disabled, Rank: rankGlobal, Renew: d.Switch})
	return l.version(set, d, actual)
}

// version is current_version and the action that goes with it. Both tell that they belong together: a host that finds
// only one of them does nothing.
func (l Layout) version(set diff.KeySet, d fleet.Desired, actual diff.KeySet) diff.KeySet {
	if d.Pending {
		for _, e := range actual {
			if e.Key == l.CurrentVersion() || e.Key == l.Action() {
				set = append(set, e)
			}
		}
		return set
	}
	current := diff.Entry{Key: l.CurrentVersion(), Value: d.Version, Rank: rankVersion, Renew: d.Switch}
	if d.Action != nil {
		current.Flags = ActionFlags
		set = append(set, diff.Entry{Key: l.Action(), Value: string(EncodeAction(*d.Action)), Rank: rankMark})
	}
	return append(set, current)
}

func (l Layout) grants(set diff.KeySet, d fleet.Desired, actual diff.KeySet) diff.KeySet {
	enabling := cmp.Or(d.Enabling, Enabled)
	granted := make(map[string]struct{}, len(d.Hosts)+len(d.Roles))
	add := func(key string, g fleet.Grant, rank int) {
		granted[key] = struct{}{}
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
		if _, ok := granted[e.Key]; !ok && (e.Rank == rankHost || e.Rank == rankRole) && disables(e.Value) {
			set = append(set, diff.Entry{Key: e.Key, Value: Disabled, Rank: e.Rank})
		}
	}
	return set
}

// disables says that the writer of a value meant no, or that nobody can tell what was meant. A yes that is not desired
// is deleted instead: it was a grant.
func disables(value string) bool {
	s := DecodeEnableValue(Pair{Value: []byte(value), ModifyIndex: 1})
	return s.Value == fleet.False || s.Value == fleet.Invalid
}

// Changes is what must change for the store to say what is desired.
func (l Layout) Changes(actual diff.KeySet, d fleet.Desired) diff.Changes {
	c := diff.Compute(actual, Render(d, l, actual))
	if d.Switch {
		c.Tree = l.EnableTree()
		c.Atomic = []string{l.CurrentVersion(), l.Action()}
	}
	return c
}
