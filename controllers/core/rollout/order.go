// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// order is which role or group waits for which.
type order struct {
	after    map[string]v1alpha1.StringList
	teams    *teams
	progress func(*team) (counted, complete int)
	ever     []string          // roles that were ever seen
	texts    map[string]string // by role
	warnings []string
}

// newOrder is the order of roles; progress tells how many hosts of a team are waited for, and how many of those are
// complete.
func newOrder(after map[string]v1alpha1.StringList, t *teams, ever []string, progress func(*team) (counted, complete int)) order {
	o := order{after: after, teams: t, ever: ever, progress: progress, texts: map[string]string{}}
	for _, r := range t.roles() {
		o.texts[r.name] = o.firstOpen(r)
	}
	for _, name := range fleet.NaturalKeys(after) {
		for _, awaited := range after[name] {
			if !o.exists(awaited) && !o.existed(awaited) {
				o.warnings = append(o.warnings, fmt.Sprintf(
					"roleOrder of %s names %s, which no host has ever borne: it holds nothing back", name, awaited))
			}
		}
	}
	return o
}

// waits is the sentence for hosts of a role that must wait for another; empty: nothing holds them back.
func (o *order) waits(r *role) string { return o.texts[r.name] }

func (o *order) firstOpen(r *role) string {
	_, text := o.blocking(r)
	return text
}

// blocking is the first of what a role waits for that is not complete, and the sentence that says so.
func (o *order) blocking(r *role) (name, text string) {
	awaited := slices.Clone(o.after[r.name])
	if r.group.name != r.name {
		awaited = append(awaited, o.after[r.group.name]...)
	}
	for _, name := range awaited {
		if text := o.open(name); text != "" {
			return name, text
		}
	}
	return "", ""
}

// open says why what bears the name is not complete; empty: it is.
func (o *order) open(name string) string {
	if !o.exists(name) {
		if o.existed(name) {
			return "waits for " + name + ", whose hosts have all vanished: it is not known whether they are upgraded"
		}
		return ""
	}
	counted, complete := 0, 0
	for _, t := range o.bearers(name) {
		n, done := o.progress(t)
		counted, complete = counted+n, complete+done
	}
	if complete == counted {
		return ""
	}
	return fmt.Sprintf("waits for %s: %d of %d hosts are upgraded", name, complete, counted)
}

// bearers are the teams of that name: a group, and a role when it does not belong to that group.
func (o *order) bearers(name string) []*team {
	var found []*team
	if g, ok := o.teams.byGroup[name]; ok && len(g.hosts) > 0 {
		found = append(found, &g.team)
	}
	if r, ok := o.teams.byRole[name]; ok && len(r.hosts) > 0 && r.group.name != name {
		found = append(found, &r.team)
	}
	return found
}

func (o *order) exists(name string) bool { return len(o.bearers(name)) > 0 }

func (o *order) existed(name string) bool {
	return slices.ContainsFunc(o.ever, func(role string) bool {
		group, _ := o.teams.groupOf(role)
		return role == name || group == name
	})
}
