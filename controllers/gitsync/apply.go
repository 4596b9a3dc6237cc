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

// Plans stores plans, fenced by the lock of the one writer. After an error that wraps leaderelection.ErrLost nothing can be
// stored any more.
type Plans interface {
	// Origins are those of all plans that come from Git, by the name of the plan.
	Origins(ctx context.Context) (map[string]fleet.Origin, error)
	// Apply stores a plan if it differs, and says what became of it: created, configured or unchanged. The plans that are
	// leaving count as gone.
	Apply(ctx context.Context, plan *v1alpha1.UpgradePlan, from fleet.Origin, leaving []string, dryRun bool) (outcome string, err error)
	// Prune deletes a plan that comes from that source, unless an order of an operator stands for it: kept says which.
	Prune(ctx context.Context, name, source string, dryRun bool) (kept string, err error)
	// Release lets a plan stay that comes from no source any more.
	Release(ctx context.Context, name string) error
}

const unchanged = "unchanged"

// Changes are what a sync did.
type Changes struct {
	// Applied has one sentence for each plan that was not as it should be, Pruned the names of those that were deleted, and
	// Kept says why others were not.
	Applied, Pruned, Kept []string
}

// String is for people; empty: nothing was to be done.
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
	return "left the repository and is kept: " + strings.Join(c.Kept, ", ")
}

// apply makes the plans what the source holds. First it asks for each whether the store would take it, so that it takes
// all or none.
func apply(ctx context.Context, plans Plans, s Source, c Content) (Changes, error) {
	var did Changes
	origins, err := plans.Origins(ctx)
	if err != nil {
		return did, err
	}
	if err := foreign(origins, s, c); err != nil {
		return did, err
	}
	leaving, err := did.leave(ctx, plans, s, left(origins, s.Name, c.Documents))
	if err != nil {
		return did, err
	}
	for _, d := range c.Documents {
		if _, err := plans.Apply(ctx, d.Plan, originOf(s, c, d), leaving, true); err != nil {
			return did, refused(c, d, err)
		}
	}
	for _, name := range leaving {
		kept, err := plans.Prune(ctx, name, s.Name, false)
		switch {
		case err != nil:
			return did, err
		case kept != "":
			did.Kept = append(did.Kept, name+": "+kept)
		default:
			did.Pruned = append(did.Pruned, name)
		}
	}
	for _, d := range c.Documents {
		outcome, err := plans.Apply(ctx, d.Plan, originOf(s, c, d), nil, false)
		if err != nil {
			return did, refused(c, d, err)
		}
		if outcome != unchanged {
			did.Applied = append(did.Applied, d.Plan.Name+" "+outcome)
		}
	}
	return did, nil
}

func originOf(s Source, c Content, d manifest.Document) fleet.Origin {
	return fleet.Origin{Source: s.Name, Path: d.Source, Revision: c.Revision}
}

// foreign refuses plans that another source manages.
func foreign(origins map[string]fleet.Origin, s Source, c Content) error {
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
	return &Failure{ReasonRefused, c.Revision, errors.Join(problems...)}
}

// left are the plans that came from a source and are not in it any more.
func left(origins map[string]fleet.Origin, source string, documents []manifest.Document) []string {
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

// Leaving are the plans that a sync would delete, by the origins of all plans.
func Leaving(origins map[string]fleet.Origin, s Source, c Content) []string {
	if !s.prunes() {
		return nil
	}
	return left(origins, s.Name, c.Documents)
}

// leave returns those that are to be deleted: those for which no order of an operator stands. Without pruning, all are
// let go.
func (c *Changes) leave(ctx context.Context, plans Plans, s Source, names []string) ([]string, error) {
	var leaving []string
	for _, name := range names {
		if !s.prunes() {
			if err := plans.Release(ctx, name); err != nil {
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

// refused says which file holds a plan that the store does not take.
func refused(c Content, d manifest.Document, err error) error {
	if errors.Is(err, reconcile.ErrStalled) {
		return &Failure{ReasonRefused, c.Revision, fmt.Errorf("%s:%d: %w", d.Source, d.Line, err)}
	}
	return err
}
