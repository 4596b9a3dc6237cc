// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Pause is the order to stop that stands for a plan; nil: none.
func (p Plans) Pause(ctx context.Context, name string) (*fleet.Pause, error) {
	pairs, _, err := p.Store.Get(ctx, keys.Plan(name).Control())
	if err != nil || !pairs[0].Exists() {
		return nil, err
	}
	control, err := keys.DecodeControl(pairs[0])
	return control.Pause, err
}

// Disabled is what DisablePuppet did.
type Disabled struct {
	// Paused says that the plan was not paused before.
	Paused bool
	// Marked are the hosts, never seen as agents, that may have begun: they got a started mark.
	Marked []string
}

// DisablePuppet stops Puppet on a whole fleet. In one transaction it pauses the plan (name empty: there is none), deletes
// the enable_puppet tree and sets its global to False. Before that, hosts in the field that may have begun get their
// started marks, so that they keep their slots: a host that is released in between makes it look again. The layout is
// that of the fleet, and the pause says who, when and why; it does not take the place of one that stands.
func (p Plans) DisablePuppet(ctx context.Context, name string, l keys.Layout, pause fleet.Pause) (Disabled, error) {
	var did Disabled
	for try := 1; ; try++ {
		var check []store.Op
		if name != "" && try < attempts { // the last time it stops all the same: that matters more than a slot
			ledger, _, err := p.Store.Get(ctx, keys.Plan(name).Ledger())
			if err != nil {
				return did, err
			}
			check = unchanged(ledger[0])
		}
		marked, err := p.mark(ctx, l, pause.Time)
		did.Marked = append(did.Marked, marked...)
		if err == nil {
			did.Paused, err = p.disable(ctx, name, l, &pause, check)
		}
		if _, ok := errors.AsType[*store.ConflictError](err); ok && !forbidden(err) && try < attempts {
			continue
		}
		return did, err
	}
}

// unchanged checks that a pair is as it was read.
func unchanged(pair keys.Pair) []store.Op {
	if !pair.Exists() {
		return []store.Op{{Verb: store.CheckNotExists, Key: pair.Key}}
	}
	return []store.Op{{Verb: store.CheckIndex, Key: pair.Key, Index: pair.ModifyIndex}}
}

func (p Plans) disable(ctx context.Context, name string, l keys.Layout, pause *fleet.Pause, check []store.Op) (bool, error) {
	ops := append(slices.Clone(check), store.Op{Verb: store.DeleteTree, Key: l.EnableTree()},
		store.Op{Verb: store.Set, Key: l.EnableGlobal(), Value: []byte(keys.Disabled)})
	if name != "" {
		return p.setPause(ctx, name, pause, ops)
	}
	_, err := p.Store.Txn(ctx, ops)
	return false, err
}

// mark sets the marks of hosts in the field that are enabled and not upgraded: nobody can tell whether they have begun.
func (p Plans) mark(ctx context.Context, l keys.Layout, now time.Time) ([]string, error) {
	o, err := ObserveFleet(ctx, p.Store, l, now)
	if err != nil {
		return nil, err
	}
	var ops []store.Op
	var hosts []string
	for i := range o.Fleet.Hosts {
		h, v := &o.Fleet.Hosts[i], &o.Decision.Verdicts[i]
		if h.Agent() || h.Started != nil || !v.InFlight || v.Base == rollout.Upgraded {
			continue
		}
		mark := fleet.Started{Version: o.Fleet.Current.Name, Time: now.UTC().Truncate(time.Second), By: fleet.ByController}
		ops = append(ops, store.Op{Verb: store.CAS, Key: l.Started(h.Name), Value: keys.EncodeStarted(mark)})
		hosts = append(hosts, h.Name)
	}
	for done := 0; done < len(ops); {
		next := min(done+p.Store.MaxOps(), len(ops))
		if _, err := p.Store.Txn(ctx, ops[done:next]); err != nil {
			return hosts[:done], err
		}
		done = next
	}
	return hosts, nil
}
