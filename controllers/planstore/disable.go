// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

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

// Disabled is what DisablePuppet did.
type Disabled struct {
	// Paused is true if the plan was not paused before.
	Paused bool
	// Marked are the legacy hosts that may have started: DisablePuppet wrote their started markers.
	Marked []string
}

// DisablePuppet stops Puppet on a whole fleet. One transaction pauses the plan (an empty name means that there is none),
// deletes the tree enable_puppet and sets its global key to False. Before that, legacy hosts that may have started get their
// started markers, so that they keep their slots. If a host is granted in between, DisablePuppet starts again; in the end it
// stops the fleet anyway, which matters more than a slot. The pause does not replace one that stands.
func (p Plans) DisablePuppet(ctx context.Context, name string, l keys.Layout, pause fleet.Pause) (Disabled, error) {
	pause.Accessor = accessor(ctx, p.Store)
	var did Disabled
	try := func(checkLedger bool) (err error) {
		var check []store.Op
		if name != "" && checkLedger {
			ledger, _, err := p.Store.Get(ctx, keys.Plan(name).Ledger())
			if err != nil {
				return err
			}
			check = unchanged(ledger[0])
		}
		marked, err := p.markStarted(ctx, l, pause.Time)
		did.Marked = append(did.Marked, marked...)
		if err == nil {
			did.Paused, err = p.disable(ctx, name, l, &pause, check)
		}
		return err
	}
	err := store.RetryOnConflict(ctx, func() error { return try(true) })
	if _, conflict := errors.AsType[*store.ConflictError](err); conflict {
		err = try(false)
	}
	return did, err
}

// unchanged checks that a pair is as it was read.
func unchanged(pair keys.Pair) []store.Op {
	if !pair.Exists() {
		return []store.Op{{Verb: store.CheckNotExists, Key: pair.Key}}
	}
	return []store.Op{{Verb: store.CheckIndex, Key: pair.Key, Index: pair.ModifyIndex}}
}

func (p Plans) disable(ctx context.Context, name string, l keys.Layout, pause *fleet.Pause, check []store.Op) (paused bool, err error) {
	ops := append(slices.Clone(check), store.Op{Verb: store.DeleteTree, Key: l.EnableTree()},
		store.Op{Verb: store.Set, Key: l.EnableGlobal(), Value: []byte(keys.Disabled)})
	if name == "" {
		_, err = p.Store.Txn(ctx, ops)
		return false, err
	}
	_, err = p.tryUpdateControl(ctx, name, true, func(u *controlUpdate) (bool, error) {
		u.also, paused = ops, u.setPause(pause)
		return true, nil
	})
	return paused && err == nil, err
}

// markStarted writes the started markers of legacy hosts that are granted and not upgraded: they may have started.
func (p Plans) markStarted(ctx context.Context, l keys.Layout, now time.Time) ([]string, error) {
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
		mark := fleet.Started{Version: o.Fleet.Current.Name, Time: now.UTC().Truncate(time.Second), By: fleet.ByController,
			Unhealthy: h.Setting.Unhealthy}
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
