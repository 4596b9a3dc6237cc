// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"cmp"
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

// Role is one role of a fleet. Its counts are those of a plan's status.
type Role struct {
	v1alpha1.RoleStatus `json:",inline"`
	// Enabled says that the role's key enables its hosts.
	Enabled bool `json:"enabled"`
}

// Version is one version that hosts have.
type Version struct {
	Name string `json:"name"`
	// Hosts is the number of hosts whose newest record is of this version.
	Hosts int `json:"hosts"`
	// Current says that it is the current version.
	Current bool `json:"current"`
}

// Roles returns all roles in natural order.
func Roles(o *pass.Assessment) []Role {
	var roles []Role
	d := o.Present()
	for _, r := range status.Roles(&d) {
		roles = append(roles, Role{r, o.Fleet.Roles[r.Name].Enables(o.Fleet.Current.Name)})
	}
	return roles
}

// Versions returns the versions that hosts have, and the current one, in natural order.
func Versions(o *pass.Assessment) []Version {
	counts := map[string]int{}
	current := o.Fleet.Current.Name
	if o.Fleet.Current.Index != 0 {
		counts[current] = 0
	}
	for i := range o.Fleet.Hosts {
		if version := o.Fleet.Hosts[i].Record.Version; version != "" {
			counts[version]++
		}
	}
	var versions []Version
	for _, name := range fleet.NaturalKeys(counts) {
		versions = append(versions, Version{name, counts[name], name == current && o.Fleet.Current.Index != 0})
	}
	return versions
}

// Agents are the agents of one version.
type Agents struct {
	// Version is empty for agents of releases that do not report it.
	Version string `json:"version"`
	Hosts   int    `json:"hosts"`
}

// AgentVersions counts the agents of each version, in natural order, and the hosts without an agent.
func AgentVersions(o *pass.Assessment) (agents []Agents, legacy int) {
	counts := map[string]int{}
	agents = []Agents{}
	for i := range o.Fleet.Hosts {
		if h := &o.Fleet.Hosts[i]; h.Agent() {
			counts[h.AgentVersion()]++
		} else {
			legacy++
		}
	}
	for _, version := range fleet.NaturalKeys(counts) {
		agents = append(agents, Agents{version, counts[version]})
	}
	return agents, legacy
}

// Facts describes the role.
func (r *Role) Facts(o *pass.Assessment) []Fact {
	key := "not set"
	if s, ok := o.Fleet.Roles[r.Name]; ok {
		key = fmt.Sprintf("%s = %s (index %d)", o.Layout.EnableRole(r.Name), s.Text, s.Index)
	}
	return []Fact{
		{"Name", r.Name},
		{"Group", cmp.Or(r.Group, "of its own")},
		{"Plan", planName(o)},
		{"Limit", Limit(r.Limit)},
		{"In flight", fmt.Sprint(r.InFlight)},
		{"Blocked by", cmp.Or(r.BlockedBy, "nothing")},
		{"Role key", key},
		{"Status", status.Line(v1alpha1.UpgradePlanStatus{Hosts: r.HostCounts})},
	}
}
