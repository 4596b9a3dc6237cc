// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/runner"
)

// identified is a store that has an identity.
type identified interface {
	Identity(ctx context.Context) (string, error)
}

// identity returns a text that identifies the store. Empty means unknown.
func identity(ctx context.Context, s store.Store) (string, error) {
	if known, ok := s.(identified); ok {
		return known.Identity(ctx)
	}
	return "", nil
}

// saveReview writes changes to a file, for reconcile --changes.
func saveReview(ctx context.Context, f *factory, file string, r upgradeplan.Review) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	if r.Consul, err = identity(ctx, s); err != nil {
		return err
	}
	r.SavedBy = f.Who
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return plainError(os.WriteFile(file, append(data, '\n'), 0o600))
}

// readReview reads a file of saveReview.
func readReview(f *factory, file string) (upgradeplan.Review, error) {
	var r upgradeplan.Review
	data, source, err := readFile(f, file, maxHostsFile)
	if err != nil {
		return r, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	switch err := d.Decode(&r); {
	case err != nil:
		return r, fmt.Errorf("%s: must be a file of `upgradectl diff --save`: %w", source, err)
	case r.APIVersion != v1alpha1.APIVersion || r.Kind != upgradeplan.ReviewKind:
		return r, fmt.Errorf("%s: must have apiVersion %s and kind %s, not %q and %q", source, v1alpha1.APIVersion, upgradeplan.ReviewKind,
			r.APIVersion, r.Kind)
	case r.Manifest == nil || r.Manifest.Name != r.Plan:
		return r, fmt.Errorf("%s: manifest must be the plan %q", source, r.Plan)
	}
	return r, nil
}

// reconcileReviewed writes the changes of a file, or nothing.
func reconcileReviewed(ctx context.Context, f *factory, s store.Store, file string, lockTimeout time.Duration) (err error) {
	review, err := readReview(f, file)
	if err != nil {
		return cli.Usage(err)
	}
	here, err := identity(ctx, s)
	switch {
	case err != nil:
		return err
	case review.Consul != "" && here != "" && here != review.Consul:
		return fmt.Errorf("%s is for another Consul: for %s, and this is %s", file, review.Consul, here)
	}
	waiting := func(held *leaderelection.LockHeldError) { f.say("%s: waiting for it", held) }
	lease, leader, err := runner.Acquire(ctx, s, lockName(f), lockTimeout, waiting)
	switch {
	case err != nil:
		return err
	case leader != nil:
		return fmt.Errorf("%w: it writes its own decisions. Stop it while you write reviewed changes", leader)
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	r := upgradeplan.Reconciler{Store: s, Session: lease.Session(), Now: f.Now, Log: f.log()}
	result, err := r.ReconcileReviewed(lease.Context(), review) //nolint:contextcheck // it is derived from ctx
	if err != nil {
		return inputError(err)
	}
	reportPass(f, review.Plan, &result)
	return nil
}
