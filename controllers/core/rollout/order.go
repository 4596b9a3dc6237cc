// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// progressFunc returns how many hosts of a scope other hosts wait for, and how many of those are complete. Nothing waits for hosts
// that are set aside: the failure budget limits them.
type progressFunc func(*limitScope) (counted, complete int)

// order is which role or group waits for which, by spec.instructions.roleOrder.
type order struct {
	after    map[string]v1alpha1.StringList
	limits   *limits
	progress progressFunc
	ever     []string // roles and groups that ever had hosts
	warnings []string
}

// newOrder also finds what each role waits for.
func newOrder(after map[string]v1alpha1.StringList, l *limits, ever []string, progress progressFunc) order {
	o := order{after: after, limits: l, ever: ever, progress: progress}
	for _, r := range l.roles() {
		r.awaits = o.blocker(r)
	}
	for _, name := range fleet.NaturalKeys(after) {
		for _, awaited := range after[name] {
			if len(o.scopesNamed(awaited)) == 0 && !o.existed(awaited) {
				o.warnings = append(o.warnings, fmt.Sprintf(
					"roleOrder for %s references role %s, which no host has had; ignored", name, awaited))
			}
		}
	}
	return o
}

// blocker returns the first role or group that a role waits for, or nil.
func (o *order) blocker(r *role) *Blocker {
	awaited := slices.Clone(o.after[r.name])
	if r.group.name != r.name {
		awaited = append(awaited, o.after[r.group.name]...)
	}
	for _, name := range awaited {
		if b := o.incomplete(name); b != nil {
			return b
		}
	}
	return nil
}

// incomplete returns a blocker if a role or group is not complete. One whose hosts have all vanished is not: it is unknown
// whether they are upgraded. Its blocker counts no host.
func (o *order) incomplete(name string) *Blocker {
	b := &Blocker{Kind: BlockedByRole, Name: name}
	scopes := o.scopesNamed(name)
	if len(scopes) == 0 && !o.existed(name) {
		return nil
	}
	for _, s := range scopes {
		counted, complete := o.progress(s)
		b.Limit, b.Have = b.Limit+counted, b.Have+complete
	}
	if len(scopes) > 0 && b.Have == b.Limit {
		return nil
	}
	return b
}

// scopesNamed returns the group of a name, and the role of that name unless it belongs to that group.
func (o *order) scopesNamed(name string) []*limitScope {
	var found []*limitScope
	if g, ok := o.limits.byGroup[name]; ok && len(g.hosts) > 0 {
		found = append(found, &g.limitScope)
	}
	if r, ok := o.limits.byRole[name]; ok && len(r.hosts) > 0 && r.group.name != name {
		found = append(found, &r.limitScope)
	}
	return found
}

// seen returns the roles and groups that others wait for and that ever had hosts, sorted. So the ledger grows with the spec, and not
// with what hosts report.
func (o *order) seen() []string {
	var seen []string
	for _, names := range o.after {
		for _, name := range names {
			if len(o.scopesNamed(name)) > 0 || o.existed(name) {
				seen = append(seen, name)
			}
		}
	}
	slices.Sort(seen)
	return slices.Compact(seen)
}

// existed reports whether a role or group of the name ever had hosts.
func (o *order) existed(name string) bool {
	return slices.ContainsFunc(o.ever, func(role string) bool {
		group, _ := o.limits.groupOf(role)
		return role == name || group == name
	})
}
