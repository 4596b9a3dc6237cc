// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

// Worker reconciles the plans of a store for a manager, and logs what each pass changed.
type Worker struct {
	Store Store
	Now   func() time.Time
	Log   logr.Logger
}

// Plans are the names of all plans, those that cannot be read too.
func (w Worker) Plans(ctx context.Context) ([]string, error) {
	found, err := Plans{w.Store}.names(ctx)
	names := make([]string, 0, len(found))
	for _, name := range found {
		names = append(names, string(name))
	}
	return names, err
}

// Reconcile makes one pass over a plan.
func (w Worker) Reconcile(ctx context.Context, session, plan string) error {
	r := Reconciler{Store: w.Store, Session: session, Now: w.Now, Log: w.Log}
	result, err := r.Reconcile(ctx, plan)
	if result.Written.Writes > 0 {
		w.Log.Info("reconciled", "plan", plan, "phase", result.Status.Phase, "starts", result.Starts,
			"hosts", status.Line(result.Status), "written", result.Written.String())
	}
	return err
}
