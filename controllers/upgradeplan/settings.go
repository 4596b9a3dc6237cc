// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Settings are what operators set for hosts by scope, as jorc set_config did. They need no plan, no controller and no
// lock.
type Settings struct {
	Store  Store
	Layout keys.Layout
}

// Setting is where a setting stands.
type Setting struct {
	// Tree is keys.ConfigState or keys.ConfigVersion.
	Tree string
	At   fleet.Place
	// Name is a single segment of a key.
	Name string
}

// pauses says whether the setting is the one that pauses its scope.
func (s Setting) pauses() bool { return s.Tree == keys.ConfigState && s.Name == keys.PauseName }

// Set writes a setting, and says whether that changed it. One that pauses moves the epoch that every commit checks, in the
// same transaction: once it has returned, nobody starts whom it stops. A pause key that stands for a hold is not set to go
// on: that is an error, and release is the way.
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

// Delete removes a setting, and says whether it was there. A pause key that stands for a hold is not removed.
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
	return fmt.Errorf("%s stands for a hold: release that", pause.Key)
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
		ops = append(ops, bump(pairs[1]))
	}
	_, err = s.Store.Txn(ctx, ops)
	return err == nil, err
}
