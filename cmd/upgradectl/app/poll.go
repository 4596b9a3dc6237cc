// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// poll calls check at once and then every interval, until it returns true or an error. When the context ends, the error is
// its cause.
func poll(ctx context.Context, interval time.Duration, check wait.ConditionWithContextFunc) error {
	err := wait.PollUntilContextCancel(ctx, interval, true, check)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}
