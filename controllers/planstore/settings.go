// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Settings are values that operators set for hosts by scope, as jorc set_config did. They need no plan, no controller and no
// lock.
type Settings struct {
	Store  Store
	Layout keys.Layout
}

// Setting is the place of a setting.
type Setting struct {
	// Tree is keys.ConfigState or keys.ConfigVersion.
	Tree string
	At   fleet.Place
	// Name is a single segment of a key.
	Name string
}

// pauses reports whether the setting is the one that pauses its scope.
func (s Setting) pauses() bool { return s.Tree == keys.ConfigState && s.Name == keys.PauseName }

// Set writes a setting, and reports whether that changed it. A setting that pauses increments, in the same transaction, the
// epoch that every commit checks: after Set, no commit grants a host that the setting stops. Set returns an error for the pause
// key of a hold, unless the value stops hosts, too: only Holds.Release ends a hold.
func (s Settings) Set(ctx context.Context, at Setting, value string) (changed bool, err error) {
	return s.change(ctx, at, func(old keys.Pair) ([]store.Op, error) {
		if old.Exists() && string(old.Value) == value && !keys.OfHold(old) {
			return nil, nil
		}
		if keys.OfHold(old) && value != keys.Disabled {
			return nil, heldBy(old)
		}
		return []store.Op{{Verb: store.CAS, Key: old.Key, Index: old.ModifyIndex, Value: []byte(value)}}, nil
	})
}

// Delete removes a setting, and reports whether it existed. It returns an error for the pause key of a hold.
func (s Settings) Delete(ctx context.Context, at Setting) (changed bool, err error) {
	return s.change(ctx, at, func(old keys.Pair) ([]store.Op, error) {
		switch {
		case !old.Exists():
			return nil, nil
		case keys.OfHold(old):
			return nil, heldBy(old)
		}
		return []store.Op{{Verb: store.DeleteCAS, Key: old.Key, Index: old.ModifyIndex}}, nil
	})
}

func heldBy(pause keys.Pair) error {
	return fmt.Errorf("%s belongs to a hold: end that with upgradectl unhold", pause.Key)
}

func (s Settings) change(ctx context.Context, at Setting, opsOf func(old keys.Pair) ([]store.Op, error)) (changed bool, err error) {
	err = store.RetryOnConflict(ctx, func() error {
		changed, err = s.tryChange(ctx, at, opsOf)
		return err
	})
	return changed, err
}

func (s Settings) tryChange(ctx context.Context, at Setting, opsOf func(old keys.Pair) ([]store.Op, error)) (bool, error) {
	ask := []string{s.Layout.Config(at.Tree, at.At) + at.Name}
	if at.pauses() {
		ask = append(ask, s.Layout.HoldEpoch())
	}
	pairs, _, err := s.Store.Get(ctx, ask...)
	if err != nil {
		return false, err
	}
	ops, err := opsOf(pairs[0])
	if err != nil || len(ops) == 0 {
		return false, err
	}
	if at.pauses() {
		ops = append(ops, MoveEpoch(pairs[1]))
	}
	_, err = s.Store.Txn(ctx, ops)
	return err == nil, err
}
