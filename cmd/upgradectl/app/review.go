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
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// identified is a store that can be told from others.
type identified interface {
	Identity(ctx context.Context) (string, error)
}

// identity says which store this is; empty: it cannot be told.
func identity(ctx context.Context, s store.Store) (string, error) {
	if known, ok := s.(identified); ok {
		return known.Identity(ctx)
	}
	return "", nil
}

// saveReview writes changes to a file, for reconcile --changes.
func (c *cli) saveReview(ctx context.Context, file string, r upgradeplan.Review) error {
	_, s, err := c.plans()
	if err != nil {
		return err
	}
	if r.Consul, err = identity(ctx, s); err != nil {
		return err
	}
	r.SavedBy = c.Who
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return plainError(os.WriteFile(file, append(data, '\n'), 0o600))
}

// readReview reads what saveReview wrote.
func (c *cli) readReview(file string) (upgradeplan.Review, error) {
	var r upgradeplan.Review
	data, source, err := c.readUpTo(file, maxHostsFile)
	if err != nil {
		return r, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	switch err := d.Decode(&r); {
	case err != nil:
		return r, fmt.Errorf("%s: must be what `upgradectl diff --save` wrote: %w", source, err)
	case r.APIVersion != v1alpha1.APIVersion || r.Kind != upgradeplan.ReviewKind:
		return r, fmt.Errorf("%s: must have apiVersion %s and kind %s, not %q and %q", source, v1alpha1.APIVersion, upgradeplan.ReviewKind,
			r.APIVersion, r.Kind)
	case r.Manifest == nil || r.Manifest.Name != r.Plan:
		return r, fmt.Errorf("%s: manifest must be the plan %q", source, r.Plan)
	}
	return r, nil
}

// reconcileReviewed writes the changes of a file, or nothing.
func (c *cli) reconcileReviewed(ctx context.Context, file string, lockTimeout time.Duration) (err error) {
	review, err := c.readReview(file)
	if err != nil {
		return usageError{err}
	}
	_, s, err := c.plans()
	if err != nil {
		return err
	}
	here, err := identity(ctx, s)
	switch {
	case err != nil:
		return err
	case review.Consul != "" && here != "" && here != review.Consul:
		return fmt.Errorf("%s is about another Consul: about %s, and this is %s", file, review.Consul, here)
	}
	lease, leader, err := c.lead(ctx, s, lockTimeout)
	switch {
	case err != nil:
		return err
	case leader != nil:
		return fmt.Errorf("%w: it writes what it decides by itself. Stop it while reviewed changes are written", leader)
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	r := upgradeplan.Reconciler{Store: s, Session: lease.Session(), Now: c.Now, Log: c.log()}
	result, err := r.ReconcileReviewed(lease.Context(), review) //nolint:contextcheck // it is derived from ctx
	if err != nil {
		return refused(err)
	}
	c.report(review.Plan, result)
	return nil
}
