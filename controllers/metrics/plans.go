// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// planGauges describe the gauges of plans. Collect computes them from the last pass, so that all gauges of a plan are of the same
// moment, and series of removed roles disappear.
type planGauges struct {
	hosts, inFlight, agents, phase, info, success *prometheus.Desc
}

func newPlanGauges() planGauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, append([]string{"plan"}, labels...), nil)
	}
	return planGauges{
		hosts:    desc("hosts", "Hosts by role and state. An empty role means that the name of the host has none.", "role", "state"),
		inFlight: desc("hosts_in_flight", "Hosts in flight, which take a slot.", "role"),
		agents:   desc("agents", "Hosts with an agent, by the version of the agent. An empty version is unknown.", "version"),
		phase:    desc("plan_phase", "1 for the current phase of the plan, 0 for the others.", "phase"),
		info:     desc("plan_info", "1, with the version of the plan and the value of current_version.", "version", "current_version"),
		success: desc("last_success_timestamp_seconds",
			"Unix time of the end of the last successful pass. 0 means none since this controller leads."),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	d := m.gauges
	for _, desc := range []*prometheus.Desc{d.hosts, d.inFlight, d.agents, d.phase, d.info, d.success} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, p := range m.plans {
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{name}, labels...)...)
		}
		if p.success.IsZero() {
			gauge(m.gauges.success, 0)
			continue
		}
		gauge(m.gauges.success, float64(p.success.UnixMilli())/1000)
		gauge(m.gauges.info, 1, p.Version, valid(p.Status.CurrentVersion))
		for _, phase := range phases() {
			gauge(m.gauges.phase, oneIf(phase == p.Status.Phase), string(phase))
		}
		rest := p.Status.Hosts.InFlight
		for _, r := range withOther(p.Roles, p.Status.Hosts) {
			for _, s := range states(r.HostCounts) {
				gauge(m.gauges.hosts, float64(s.hosts), r.Name, s.name)
			}
			gauge(m.gauges.inFlight, float64(r.InFlight), r.Name)
			rest -= r.InFlight
		}
		for version, hosts := range mostUsed(p.Agents) {
			gauge(m.gauges.agents, float64(hosts), version)
		}
		gauge(m.gauges.hosts, float64(p.Status.Hosts.Unknown), "", "Unknown")
		gauge(m.gauges.inFlight, float64(rest), "")
	}
}

// maxAgentVersions is how many versions of agents have a series. Each agent says which version it has, so one could invent any number.
const maxAgentVersions = 20

// otherVersions is the label of all other versions.
const otherVersions = "(other)"

// mostUsed returns the versions that most agents have, and the sum of all others.
func mostUsed(agents map[string]int) map[string]int {
	versions := slices.SortedFunc(maps.Keys(agents), func(a, b string) int {
		return cmp.Or(agents[b]-agents[a], strings.Compare(a, b))
	})
	most := map[string]int{}
	for i, version := range versions {
		label := valid(version)
		if i >= maxAgentVersions {
			label = otherVersions
		}
		most[label] += agents[version]
	}
	return most
}

// maxRoles is how many roles have series. Each host says which role it has, so it could invent any number.
const maxRoles = 200

// otherRoles is the label of all other roles. No role can have this name.
const otherRoles = "(other)"

// withOther returns the first roles, and all others as one. All are the counts of all hosts that count.
func withOther(roles []v1alpha1.RoleStatus, all v1alpha1.HostCounts) []v1alpha1.RoleStatus {
	if len(roles) <= maxRoles {
		return roles
	}
	roles = roles[:maxRoles:maxRoles]
	other := v1alpha1.RoleStatus{Name: otherRoles, HostCounts: all}
	for i := range roles {
		r := &roles[i].HostCounts
		for _, n := range []struct {
			total *int
			part  int
		}{{&other.Upgraded, r.Upgraded}, {&other.Upgrading, r.Upgrading}, {&other.Pending, r.Pending}, {&other.Failed, r.Failed},
			{&other.SetAside, r.SetAside}, {&other.Held, r.Held}, {&other.Excluded, r.Excluded}, {&other.Lost, r.Lost},
			{&other.InFlight, r.InFlight}} {
			*n.total -= n.part
		}
	}
	return append(roles, other)
}

// valid makes a text valid for Prometheus. Names of plans and current_version are read from Consul as they are.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func phases() []v1alpha1.Phase {
	return []v1alpha1.Phase{v1alpha1.PhasePending, v1alpha1.PhaseProgressing, v1alpha1.PhasePaused, v1alpha1.PhaseAborted,
		v1alpha1.PhaseHalted, v1alpha1.PhaseAwaiting, v1alpha1.PhaseStalled, v1alpha1.PhaseComplete}
}

type state struct {
	name  string
	hosts int
}

// states are the states of a role. Each host is in exactly one.
func states(c v1alpha1.HostCounts) []state {
	return []state{{"Upgraded", c.Upgraded}, {"Upgrading", c.Upgrading}, {"Pending", c.Pending}, {"Failed", c.Failed},
		{"SetAside", c.SetAside}, {"Held", c.Held}, {"Excluded", c.Excluded}, {"Lost", c.Lost}}
}
