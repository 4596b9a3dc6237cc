// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics is what Prometheus sees of a controller.
//
// A plan, and a source, has series while this process leads and the plan exists: a standby tells nothing of plans, and what a term of
// leadership counted begins anew with the next one. For each plan there are some thirty series, and seven more for each of
// its roles, which come and go with the roles; none carries the name of a host.
package metrics

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// namespace begins every name.
const namespace = "upgrade_controller"

// Metrics notes what a controller does. It is safe for concurrent use.
type Metrics struct {
	leader             prometheus.Gauge
	requests, received *prometheus.CounterVec

	// Of plans.
	grants, failures, commits, conflicts, errors *prometheus.CounterVec
	duration                                     *prometheus.HistogramVec
	shown                                        descriptions

	sources sources

	mu    sync.Mutex
	plans map[string]*plan
}

// plan is what is remembered of one between its passes.
type plan struct {
	upgradeplan.Pass // the last one that succeeded
	// success is when that ended; zero: none did.
	success time.Time
	failed  map[string]bool
}

// New registers everything, with what Go and the process tell of themselves. Version and resync are those of the
// controller.
func New(r prometheus.Registerer, version string, resync time.Duration) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels prometheus.Labels) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels})
	}
	m := &Metrics{
		leader: gauge("leader", "1 while this controller leads, 0 while it does not.", nil),
		requests: counter("consul_requests_total",
			"Requests to Consul by kind (list, keys, get, txn, wait, session) and status; none: no whole answer came; "+
				"ended: the caller ended it.", "kind", "code"),
		received: counter("consul_received_bytes_total", "Bytes of the bodies of Consul's answers.", "kind"),
		grants:   counter("grants_total", "Hosts that were released.", "plan"),
		failures: counter("failures_total", "Hosts that were seen to fail, each time anew.", "plan"),
		commits:  counter("commits_total", "Transactions that were applied.", "plan"),
		conflicts: counter("conflicts_total", "Transactions that were refused because something had moved since it was read.",
			"plan"),
		errors: counter("reconcile_errors_total", "Passes that failed.", "plan"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "reconcile_duration_seconds",
			Help: "How long a pass took, also one that failed.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14)},
			[]string{"plan"}),
		shown:   describe(),
		plans:   map[string]*plan{},
		sources: newSources(),
	}
	m.sources.register(r)
	build := gauge("build_info", "1, with the version of the controller.", prometheus.Labels{"version": version})
	build.Set(1)
	every := gauge("resync_seconds", "About how often a plan is looked at though nothing changes.", nil)
	every.Set(resync.Seconds())
	r.MustRegister(m.leader, m.requests, m.received, m.grants, m.failures, m.commits, m.conflicts, m.errors, m.duration, m,
		build, every, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request notes a request to Consul: see consul.Config.
func (m *Metrics) Request(kind, code string, received int64) {
	m.requests.WithLabelValues(kind, code).Inc()
	m.received.WithLabelValues(kind).Add(float64(received))
}

// Leads notes whether this controller leads. When it does not, nothing is told of plans and sources.
func (m *Metrics) Leads(yes bool) {
	if yes {
		m.leader.Set(1)
		return
	}
	m.leader.Set(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.plans {
		m.forget(name)
	}
	m.sources.reset()
}

// Reconciled notes a pass. When it found the plan gone, nothing is told of it any more.
func (m *Metrics) Reconciled(p upgradeplan.Pass) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Plan = valid(p.Plan)
	if _, ok := errors.AsType[*upgradeplan.NotFoundError](p.Err); ok {
		m.forget(p.Plan)
		return
	}
	m.grants.WithLabelValues(p.Plan).Add(float64(p.Starts))
	m.commits.WithLabelValues(p.Plan).Add(float64(p.Transactions))
	m.conflicts.WithLabelValues(p.Plan).Add(float64(p.Conflicts))
	m.duration.WithLabelValues(p.Plan).Observe(p.Took.Seconds())
	failures, failed := m.failures.WithLabelValues(p.Plan), m.errors.WithLabelValues(p.Plan)
	known := m.plans[p.Plan]
	if known == nil {
		known = &plan{}
		m.plans[p.Plan] = known
	}
	if p.Err != nil {
		failed.Inc()
		return
	}
	failures.Add(float64(known.succeeded(p)))
}

// succeeded remembers a pass, and counts the hosts that have failed since the one before. What a controller finds when
// it begins to lead has failed before.
func (k *plan) succeeded(p upgradeplan.Pass) (failures int) {
	failed := make(map[string]bool, len(p.Failed))
	for _, host := range p.Failed {
		failed[host] = true
		if !k.success.IsZero() && !k.failed[host] {
			failures++
		}
	}
	k.Pass, k.success, k.failed = p, p.Begun.Add(p.Took), failed
	return failures
}

// forget removes all series of a plan.
func (m *Metrics) forget(name string) {
	delete(m.plans, name)
	for _, vec := range []interface{ DeleteLabelValues(...string) bool }{m.grants, m.failures, m.commits, m.conflicts, m.errors,
		m.duration} {
		vec.DeleteLabelValues(name)
	}
}
