// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// Acquire takes the lock of the writer. It waits up to timeout while another command holds the lock, and calls waiting once
// for each holder. While a controller holds it, Acquire returns the controller in place of a lease, without an error.
func Acquire(ctx context.Context, s store.Store, holder string, timeout time.Duration, waiting func(*leaderelection.LockHeldError)) (
	*leaderelection.Lease, *leaderelection.LockHeldError, error) {
	acquire := leaderelection.TryAcquire
	if timeout > 0 { // for Acquire, 0 would mean no limit
		acquire = leaderelection.Acquire
	}
	lease, err := acquire(ctx, s, keys.Leader, holder, leaderelection.Options{Kind: leaderelection.KindCLI, Timeout: timeout,
		Waiting: func(held leaderelection.LockHeldError) error {
			if held.Kind == leaderelection.KindController {
				return &held
			}
			waiting(&held)
			return nil
		}})
	held, busy := errors.AsType[*leaderelection.LockHeldError](err)
	switch {
	case !busy || ctx.Err() != nil:
		return lease, nil, err
	case held.Kind == leaderelection.KindController:
		return nil, held, nil
	}
	return nil, nil, fmt.Errorf("%w: gave up after %s (--lock-timeout)", held, timeout)
}
