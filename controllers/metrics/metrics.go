// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// namespace is the prefix of every metric.
const namespace = "upgrade_controller"

// Metrics counts what a controller does. It is safe for concurrent use.
type Metrics struct {
	leader             prometheus.Gauge
	requests, received *prometheus.CounterVec

	// By plan.
	grants, failures, commits, conflicts, errors *prometheus.CounterVec
	duration                                     *prometheus.HistogramVec
	gauges                                       planGauges

	sources sources

	mu    sync.Mutex
	plans map[string]*plan
}

// plan is the state of a plan between two passes.
type plan struct {
	upgradeplan.Pass // the last one that succeeded
	// success is the time when that pass ended. Zero means that none has succeeded.
	success time.Time
	failed  map[string]bool
}

// New registers all metrics, and those of the Go runtime and of the process. Version and resync are those of the controller.
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
			"Requests to Consul by kind (list, keys, get, txn, wait, session) and status. "+
				"Status none means no complete answer, ended that the caller ended the request.", "kind", "code"),
		received: counter("consul_received_bytes_total", "Bytes of the bodies of Consul's answers.", "kind"),
		grants:   counter("grants_total", "Grants: permissions for a host to change its version.", "plan"),
		failures: counter("failures_total", "Failures of hosts. A host that fails again counts again.", "plan"),
		commits:  counter("commits_total", "Transactions that were applied.", "plan"),
		conflicts: counter("conflicts_total", "Transactions that were refused because a key had changed since it was read.",
			"plan"),
		errors: counter("reconcile_errors_total", "Passes that failed.", "plan"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "reconcile_duration_seconds",
			Help: "Duration of a pass, also of one that failed.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14)},
			[]string{"plan"}),
		gauges:  newPlanGauges(),
		plans:   map[string]*plan{},
		sources: newSources(),
	}
	m.sources.register(r)
	build := gauge("build_info", "1, with the version of the controller.", prometheus.Labels{"version": version})
	build.Set(1)
	every := gauge("resync_seconds", "Approximate interval at which a plan is reconciled even if nothing changes.", nil)
	every.Set(resync.Seconds())
	r.MustRegister(m.leader, m.requests, m.received, m.grants, m.failures, m.commits, m.conflicts, m.errors, m.duration, m,
		build, every, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request counts a request to Consul: see consul.Config.Observe.
func (m *Metrics) Request(kind, code string, received int64) {
	m.requests.WithLabelValues(kind, code).Inc()
	m.received.WithLabelValues(kind).Add(float64(received))
}

// Leads sets whether this controller leads. If not, the series of all plans and sources are removed.
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

// Reconciled counts a pass. If the plan does not exist, its series are removed.
func (m *Metrics) Reconciled(p upgradeplan.Pass) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Plan = valid(p.Plan)
	if _, ok := errors.AsType[*planstore.NotFoundError](p.Err); ok {
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

// succeeded stores a pass, and returns how many hosts have failed since the previous one. Hosts that had failed when the term of
// this controller began do not count.
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
