// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// completePlans offers the plans, with their version and phase.
func completePlans(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	plans, err := r.plans()
	if err != nil {
		return nil, err
	}
	briefs, err := plans.Briefs(ctx, r.word)
	var found []cobra.Completion
	for _, b := range briefs {
		if !names.Segment(b.Name) {
			continue
		}
		if about := strings.TrimSpace(b.Version + " " + string(b.Phase)); about != "" {
			found = append(found, cobra.CompletionWithDesc(b.Name, cli.OneLine(about)))
			continue
		}
		found = append(found, b.Name)
	}
	return found, err
}

// readNames reads the names in the fleet of the command.
func readNames(ctx context.Context, r *completionRequest) (planstore.Names, error) {
	s, err := r.store()
	if err != nil {
		return planstore.Names{}, err
	}
	plan, err := planOrNone(ctx, r.factory, r.fleet())
	if err != nil {
		return planstore.Names{}, err
	}
	return planstore.ReadNames(ctx, s, plan, r.flags.layout)
}

func completeHosts(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	found, err := readNames(ctx, r)
	return found.Hosts, err
}

func completeRoles(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	found, err := readNames(ctx, r)
	return found.Roles, err
}

func completeVersions(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	found, err := readNames(ctx, r)
	return found.Versions, err
}

// completeRolesAndGroups offers the roles of the fleet and the groups of its plan.
func completeRolesAndGroups(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	plan, err := planOrNone(ctx, r.factory, r.fleet())
	if err != nil {
		return nil, err
	}
	found, err := completeRoles(ctx, r)
	if plan != nil {
		found = append(found, slices.Sorted(maps.Keys(plan.Spec.Instructions.GroupMappings))...)
	}
	slices.SortStableFunc(found, fleet.CompareNatural)
	return slices.Compact(found), err
}

// completeHostPlaces offers host/NAME, and completePlaces role/NAME as well: the part before the slash first, then the names.
func completeHostPlaces(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	return completePlacesIn(ctx, r, fleet.ScopeHost)
}

func completePlaces(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	return completePlacesIn(ctx, r, fleet.ScopeHost, fleet.ScopeRole)
}

func completePlacesIn(ctx context.Context, r *completionRequest, scopes ...fleet.Scope) ([]cobra.Completion, error) {
	var found []cobra.Completion
	for _, scope := range scopes {
		before := scope.String() + "/"
		if !strings.HasPrefix(r.word, before) {
			found = append(found, before)
			continue
		}
		inFleet, err := readNames(ctx, r)
		if err != nil {
			return nil, err
		}
		list := inFleet.Hosts
		if scope == fleet.ScopeRole {
			list = inFleet.Roles
		}
		for _, name := range list {
			found = append(found, before+name)
		}
	}
	return found, nil
}

// completeNamesInScope offers hosts, or roles if the arguments contain the scope role.
func completeNamesInScope(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	if slices.Contains(r.args, fleet.ScopeRole.String()) {
		return completeRoles(ctx, r)
	}
	return completeHosts(ctx, r)
}

// completeEventObjects offers the objects of events, except keys.
func completeEventObjects(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	found, err := completeHostPlaces(ctx, r)
	return append(found, "plan"), err
}

// completeHolds offers the hosts and roles on hold.
func completeHolds(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	holds, err := holdsOf(ctx, r.factory, r.fleet())
	if err != nil {
		return nil, err
	}
	places, err := holds.Places(ctx)
	found := make([]cobra.Completion, len(places))
	for i, at := range places {
		found[i] = at.String()
	}
	return found, err
}

func completeSources(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	s, err := r.store()
	if err != nil {
		return nil, err
	}
	var found []cobra.Completion
	list, _, err := s.Keys(ctx, keys.Sources, store.ExpectFew)
	for _, key := range list {
		if name := strings.TrimPrefix(key, keys.Sources); names.Segment(name) {
			found = append(found, name)
		}
	}
	return found, err
}

// completeRevisions offers the revisions of the plan on the line, or of the only plan, with their versions.
func completeRevisions(ctx context.Context, r *completionRequest) ([]cobra.Completion, error) {
	o := planOptions{factory: r.factory}
	if err := o.complete(r.args); err != nil {
		return nil, err
	}
	s, name, err := o.resolve(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := planstore.Plans{Store: s}.Revisions(ctx, name)
	found := make([]cobra.Completion, len(kept))
	for i, r := range kept {
		found[i] = cobra.CompletionWithDesc(strconv.FormatInt(r.Generation, 10), r.Plan.Spec.Version)
	}
	return found, err
}

// completeConditions offers the conditions of wait --for, and their values after condition=NAME=.
func completeConditions(_ context.Context, r *completionRequest) ([]cobra.Completion, error) {
	var found []cobra.Completion
	for _, condition := range conditions() {
		text := "condition=" + condition
		if strings.HasPrefix(r.word, text+"=") {
			found = append(found, text+"=True", text+"=False")
		}
		found = append(found, text)
	}
	return found, nil
}

// completeFields offers the fields of a plan one level below the word. A field with fields of its own ends in a dot.
func completeFields(_ context.Context, r *completionRequest) ([]cobra.Completion, error) {
	root, err := planSchema()
	if err != nil {
		return nil, err
	}
	before := r.word[:strings.LastIndex(r.word, ".")+1]
	at, err := root.find(fieldPath(before))
	if err != nil {
		return nil, err
	}
	var found []cobra.Completion
	for _, name := range slices.Sorted(maps.Keys(at.below().Properties)) {
		field := at.below().Properties[name]
		if len(field.below().Properties) > 0 {
			name += "."
		}
		found = append(found, cobra.CompletionWithDesc(before+name, field.kind()))
	}
	return found, nil
}
