// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/reconcile"
)

// Plans stores plans. The leader's lock fences every write: after an error that wraps leaderelection.ErrLost, no write can
// succeed.
type Plans interface {
	// Origins returns the origins of all plans that come from Git, by plan name.
	Origins(ctx context.Context) (map[string]fleet.Origin, error)
	// Apply stores a plan if it differs. The outcome is created, configured or unchanged. Validation ignores the plans named
	// in leaving, which are about to be deleted.
	Apply(ctx context.Context, plan *v1alpha1.UpgradePlan, from fleet.Origin, leaving []string, dryRun bool) (outcome string, err error)
	// Prune deletes a plan of the source. If an operator's order is active for the plan, it does not, and kept says why.
	Prune(ctx context.Context, name, source string, dryRun bool) (kept string, err error)
	// Disown keeps a plan and removes its origin, so that no source manages it.
	Disown(ctx context.Context, name string) error
}

const unchanged = "unchanged"

// Changes describes what a sync changed.
type Changes struct {
	// Applied has "NAME OUTCOME" for each plan that was created or configured.
	Applied []string
	// Pruned has the names of the plans that were deleted.
	Pruned []string
	// Kept has "NAME: REASON" for each plan that left the repository but was not deleted.
	Kept []string
}

// String lists the changes. It is empty if nothing changed.
func (c Changes) String() string {
	all := slices.Clone(c.Applied)
	for _, name := range c.Pruned {
		all = append(all, name+" deleted")
	}
	return strings.Join(all, ", ")
}

func (c Changes) kept() string {
	if len(c.Kept) == 0 {
		return ""
	}
	return "not in the repository anymore, but kept: " + strings.Join(c.Kept, ", ")
}

// overlap is the error of a plan for the fleet of another one.
type overlap interface {
	error
	OverlapsWith() string
}

// explain adds to an error why the plan that it names was not deleted, as when a plan was renamed.
func (c Changes) explain(err error) error {
	o, ok := errors.AsType[overlap](err)
	if !ok {
		return err
	}
	for _, kept := range c.Kept {
		if reason, ok := strings.CutPrefix(kept, o.OverlapsWith()+": "); ok {
			return fmt.Errorf("%w; %s has left the repository and is kept, because %s: end that order, or delete it by "+
				"`upgradectl delete %[2]s --force`", err, o.OverlapsWith(), reason)
		}
	}
	return err
}

// apply stores the plans of a source. It validates all of them with dry runs first, so that either all are stored or none.
func apply(ctx context.Context, plans Plans, s Source, c Content) (Changes, error) {
	var changes Changes
	origins, err := plans.Origins(ctx)
	if err != nil {
		return changes, err
	}
	if err := checkOwners(origins, s, c); err != nil {
		return changes, err
	}
	leaving, err := changes.planRemovals(ctx, plans, s, missingFrom(origins, s.Name, c.Documents))
	if err != nil {
		return changes, err
	}
	for _, d := range c.Documents {
		if _, err := plans.Apply(ctx, d.Plan, originOf(s, c, d), leaving, true); err != nil {
			return changes, locate(c, d, changes.explain(err))
		}
	}
	for _, name := range leaving {
		kept, err := plans.Prune(ctx, name, s.Name, false)
		switch {
		case err != nil:
			return changes, err
		case kept != "":
			changes.Kept = append(changes.Kept, name+": "+kept)
		default:
			changes.Pruned = append(changes.Pruned, name)
		}
	}
	for _, d := range c.Documents {
		outcome, err := plans.Apply(ctx, d.Plan, originOf(s, c, d), nil, false)
		if err != nil {
			return changes, locate(c, d, err)
		}
		if outcome != unchanged {
			changes.Applied = append(changes.Applied, d.Plan.Name+" "+outcome)
		}
	}
	return changes, nil
}

func originOf(s Source, c Content, d manifest.Document) fleet.Origin {
	return fleet.Origin{Source: s.Name, Path: d.Source, Revision: c.Revision}
}

// checkOwners returns an error if another source manages a plan of the content.
func checkOwners(origins map[string]fleet.Origin, s Source, c Content) error {
	var problems []error
	for _, d := range c.Documents {
		if o, ok := origins[d.Plan.Name]; ok && o.Source != s.Name {
			problems = append(problems, fmt.Errorf("%s:%d: metadata.name: upgradeplan/%s is managed by %s",
				d.Source, d.Line, d.Plan.Name, o))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &SyncError{ReasonRefused, c.Revision, errors.Join(problems...)}
}

// missingFrom returns the names of plans that came from a source but are not in its documents.
func missingFrom(origins map[string]fleet.Origin, source string, documents []manifest.Document) []string {
	var names []string
	for name, o := range origins {
		in := slices.ContainsFunc(documents, func(d manifest.Document) bool { return d.Plan.Name == name })
		if o.Source == source && !in {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// PlansToPrune returns the names of the plans that a sync would delete. Origins are those of all plans.
func PlansToPrune(origins map[string]fleet.Origin, s Source, c Content) []string {
	if !s.prunes() {
		return nil
	}
	return missingFrom(origins, s.Name, c.Documents)
}

// planRemovals returns the names of the plans to delete: all without an active order of an operator. If the source does not
// prune, planRemovals disowns the plans instead and returns none.
func (c *Changes) planRemovals(ctx context.Context, plans Plans, s Source, names []string) ([]string, error) {
	var leaving []string
	for _, name := range names {
		if !s.prunes() {
			if err := plans.Disown(ctx, name); err != nil {
				return nil, err
			}
			continue
		}
		kept, err := plans.Prune(ctx, name, s.Name, true)
		switch {
		case err != nil:
			return nil, err
		case kept != "":
			c.Kept = append(c.Kept, name+": "+kept)
		default:
			leaving = append(leaving, name)
		}
	}
	return leaving, nil
}

// locate adds the file and line of the document to an error that the plan itself causes.
func locate(c Content, d manifest.Document, err error) error {
	if errors.Is(err, reconcile.ErrStalled) {
		return &SyncError{ReasonRefused, c.Revision, fmt.Errorf("%s:%d: %w", d.Source, d.Line, err)}
	}
	return err
}
