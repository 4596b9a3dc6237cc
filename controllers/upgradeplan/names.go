// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

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
	// Roles are those in the names of the hosts (by the plan's pattern, if it has one), and those that the plan has seen.
	Roles []string
	// Versions are those that hosts are recorded under, and the current one.
	Versions []string
}

// ReadNames reads the names in a fleet, and no value of a host: little enough for a shell that asks while somebody types.
// The plan may be nil: the fleet is that of the layout then. What ACLs hide is left out.
func ReadNames(ctx context.Context, s store.Reader, plan *v1alpha1.UpgradePlan, l keys.Layout) (Names, error) {
	if plan != nil {
		l = Layout(plan)
	}
	compiled, err := Compile(plan)
	if err != nil {
		return Names{}, err
	}
	raw, l, err := fleetstore.ReadNames(ctx, s, l)
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
		seen, err := rolesSeen(ctx, s, plan.Name)
		if err != nil {
			return Names{}, err
		}
		found.Roles = append(found.Roles, seen...)
	}
	found.Roles, found.Versions = tidy(found.Roles), tidy(found.Versions)
	return found, nil
}

// rolesSeen are the roles in the ledger of a plan; none, if that cannot be read.
func rolesSeen(ctx context.Context, s store.Reader, plan string) ([]string, error) {
	pairs, _, err := s.Get(ctx, keys.Plan(plan).Ledger())
	if err != nil {
		return nil, err
	}
	ledger, err := keys.DecodeLedger(pairs[0])
	if err != nil {
		return nil, nil //nolint:nilerr // what is wrong with it is said where something is decided from it
	}
	return ledger.Roles, nil
}

// tidy is each name once, in natural order, without those that cannot be one.
func tidy(names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return !keys.ValidSegment(name) })
	slices.Sort(names)
	names = slices.Compact(names)
	slices.SortFunc(names, fleet.CompareNatural)
	return names
}

// Brief is a plan in two words.
type Brief struct {
	Name string
	// Version is that of its spec, and Phase that of the status that was stored last. Empty: they were not read.
	Version string
	Phase   v1alpha1.Phase
}

// Briefs reads the names of the plans that begin with prefix, sorted, and what one transaction can read of them: of more
// plans than that it reads the names alone.
func (p Plans) Briefs(ctx context.Context, prefix string) ([]Brief, error) {
	names, err := p.beginning(ctx, prefix)
	if err != nil {
		return nil, err
	}
	briefs := make([]Brief, len(names))
	var ask []string
	for i, name := range names {
		briefs[i].Name = string(name)
		ask = append(ask, name.Spec(), name.Status())
	}
	if len(ask) == 0 || len(ask) > store.MaxOps {
		return briefs, nil
	}
	pairs, _, err := p.Store.Get(ctx, ask...)
	if err != nil {
		return nil, err
	}
	for i := range briefs {
		if plan, err := decodePlan(briefs[i].Name, pairs[2*i]); err == nil {
			briefs[i].Version = plan.Spec.Version
		}
		briefs[i].Phase = decodeStatus(pairs[2*i+1]).Phase
	}
	return briefs, nil
}

// Places are the hosts and roles that are on hold, those whose hold has expired too: roles first, each in natural order.
// No hold is read.
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
