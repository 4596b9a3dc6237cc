// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// Names are the names in a fleet, each list in natural order.
type Names struct {
	Hosts []string
	// Roles are the roles in the names of the hosts, by the plan's pattern if it has one, and those in the plan's status.
	Roles []string
	// Versions are the versions of all records, and the current one.
	Versions []string
}

// ReadNames reads the names in a fleet, and no value of a host, so that it is fast enough for shell completion. A nil plan means
// the fleet of the layout. Names that ACLs hide are missing.
func ReadNames(ctx context.Context, s store.Reader, plan *v1alpha1.UpgradePlan, l keys.Layout) (Names, error) {
	if plan != nil {
		l = Layout(plan)
	}
	compiled, err := Compile(plan)
	if err != nil {
		return Names{}, err
	}
	raw, err := fleetstore.ReadNames(ctx, s, l)
	if err != nil {
		return Names{}, err
	}
	f := keys.Decode(raw, l, keys.Options{RolePattern: compiled.RolePattern()})
	found := Names{Versions: raw.Versions(l)}
	if current := keys.DecodeVersion(raw.Current.Value); current != "" {
		found.Versions = append(found.Versions, current)
	}
	for i := range f.Hosts {
		found.Hosts = append(found.Hosts, f.Hosts[i].Name)
		found.Roles = append(found.Roles, f.Hosts[i].Role)
	}
	if plan != nil {
		for _, role := range plan.Status.Roles {
			found.Roles = append(found.Roles, role.Name)
		}
	}
	found.Roles, found.Versions = tidy(found.Roles), tidy(found.Versions)
	return found, nil
}

// tidy returns each valid name once, in natural order.
func tidy(names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return !keys.ValidSegment(name) })
	slices.Sort(names)
	names = slices.Compact(names)
	slices.SortFunc(names, fleet.CompareNatural)
	return names
}

// Brief is a plan in one line.
type Brief struct {
	Name string
	// Version is that of its spec, and Phase that of its stored status. Empty means that they were not read.
	Version string
	Phase   v1alpha1.Phase
}

// Briefs returns the plans whose name starts with a prefix, sorted. If one transaction cannot read all of them, it returns their
// names only.
func (p Plans) Briefs(ctx context.Context, prefix string) ([]Brief, error) {
	names, err := p.namesWithPrefix(ctx, prefix)
	if err != nil {
		return nil, err
	}
	briefs := make([]Brief, len(names))
	var ask []string
	for i, name := range names {
		briefs[i].Name = name
		ask = append(ask, keys.Plan(name).Spec(), keys.Plan(name).Status())
	}
	if len(ask) == 0 || len(ask) > store.MaxOps {
		return briefs, nil
	}
	pairs, _, err := p.Store.Get(ctx, ask...)
	if err != nil {
		return nil, err
	}
	for i := range briefs {
		if plan, err := DecodePlan(briefs[i].Name, pairs[2*i]); err == nil {
			briefs[i].Version = plan.Spec.Version
		}
		briefs[i].Phase = DecodeStatus(pairs[2*i+1]).Phase
	}
	return briefs, nil
}

// Places returns the hosts and roles that have a hold, also an expired one: roles first, each in natural order. It reads no
// hold.
func (h Holds) Places(ctx context.Context) ([]fleet.Place, error) {
	found, _, err := h.Store.Keys(ctx, h.Layout.HoldTree(), store.ExpectFew)
	var places []fleet.Place
	for _, key := range found {
		if at, ok := keys.PlaceOf(strings.TrimPrefix(key, h.Layout.HoldTree())); ok {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, comparePlaces)
	return places, err
}

func comparePlaces(a, b fleet.Place) int {
	return cmp.Or(-cmp.Compare(a.Scope, b.Scope), fleet.CompareNatural(a.Name, b.Name))
}
