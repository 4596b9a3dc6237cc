// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Store is the part of a store that plans and fleets need.
type Store interface {
	store.Reader
	store.Writer
	store.Watcher
}

// UncancelableStore lets a transaction that is under way finish after its context has ended, so that its outcome is known
// before the lock is released. It starts none after that.
type UncancelableStore struct{ Store }

// Txn applies all operations or none.
func (s UncancelableStore) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if err := ctx.Err(); err != nil {
		return store.Result{}, err
	}
	return s.Store.Txn(context.WithoutCancel(ctx), ops)
}
