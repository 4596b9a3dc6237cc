// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// descriptions are those of the gauges of plans, which are made of the last pass when somebody asks: so all of a plan is
// of one moment, and what a plan no longer has is gone.
type descriptions struct {
	hosts, inFlight, phase, info, success *prometheus.Desc
}

func describe() descriptions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, append([]string{"plan"}, labels...), nil)
	}
	return descriptions{
		hosts:    desc("hosts", "Hosts by role and state; without a role: those whose name tells none.", "role", "state"),
		inFlight: desc("hosts_in_flight", "Hosts that take a slot.", "role"),
		phase:    desc("plan_phase", "1 for the phase that the plan is in, 0 for the others.", "phase"),
		info:     desc("plan_info", "1, with the plan's version and the one in current_version.", "version", "current_version"),
		success: desc("last_success_timestamp_seconds",
			"When the last pass ended that did not fail, in Unix seconds; 0: none did since this controller leads."),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	d := m.shown
	for _, desc := range []*prometheus.Desc{d.hosts, d.inFlight, d.phase, d.info, d.success} {
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
			gauge(m.shown.success, 0)
			continue
		}
		gauge(m.shown.success, float64(p.success.UnixMilli())/1000)
		gauge(m.shown.info, 1, p.Version, valid(p.Status.CurrentVersion))
		for _, phase := range phases() {
			gauge(m.shown.phase, oneIf(phase == p.Status.Phase), string(phase))
		}
		rest := p.Status.Hosts.InFlight
		for _, r := range p.Status.Roles {
			for _, s := range states(r.HostCounts) {
				gauge(m.shown.hosts, float64(s.hosts), r.Name, s.name)
			}
			gauge(m.shown.inFlight, float64(r.InFlight), r.Name)
			rest -= r.InFlight
		}
		gauge(m.shown.hosts, float64(p.Status.Hosts.Unknown), "", "Unknown")
		gauge(m.shown.inFlight, float64(rest), "")
	}
}

// valid is a text that Prometheus takes: names of plans and current_version are what somebody wrote into Consul.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func phases() []v1alpha1.Phase {
	return []v1alpha1.Phase{v1alpha1.PhasePending, v1alpha1.PhaseProgressing, v1alpha1.PhasePaused, v1alpha1.PhaseAborted,
		v1alpha1.PhaseHalted, v1alpha1.PhaseStalled, v1alpha1.PhaseComplete}
}

type state struct {
	name  string
	hosts int
}

// states are those of a role; each of its hosts is in one.
func states(c v1alpha1.HostCounts) []state {
	return []state{{"Upgraded", c.Upgraded}, {"Upgrading", c.Upgrading}, {"Pending", c.Pending}, {"Failed", c.Failed},
		{"Held", c.Held}, {"Excluded", c.Excluded}}
}
