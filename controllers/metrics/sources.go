// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
)

// sources are the metrics of the Git repositories that plans come from.
type sources struct {
	ready, success, info *prometheus.GaugeVec
	errors               *prometheus.CounterVec
	duration             *prometheus.HistogramVec
}

func newSources() sources {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help},
			append([]string{"source"}, labels...))
	}
	return sources{
		ready:   gauge("source_ready", "1 if the last sync succeeded, 0 if it failed."),
		success: gauge("source_last_success_timestamp_seconds", "Unix time of the end of the last successful sync."),
		info:    gauge("source_info", "1, with the revision that was last applied.", "revision"),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "source_sync_errors_total",
			Help: "Syncs that failed."}, []string{"source"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "source_sync_duration_seconds",
			Help: "Duration of a sync, also of one that failed.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14)}, []string{"source"}),
	}
}

func (s *sources) register(r prometheus.Registerer) {
	r.MustRegister(s.ready, s.success, s.info, s.errors, s.duration)
}

// reset removes the series of all sources.
func (s *sources) reset() {
	for _, vec := range []interface{ Reset() }{s.ready, s.success, s.info, s.errors, s.duration} {
		vec.Reset()
	}
}

// Synced counts a sync of a source.
func (m *Metrics) Synced(s gitsync.Sync) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := &m.sources
	of.duration.WithLabelValues(s.Source).Observe(s.Duration.Seconds())
	failed := of.errors.WithLabelValues(s.Source)
	if s.Err != nil {
		failed.Inc()
		of.ready.WithLabelValues(s.Source).Set(0)
		return
	}
	of.ready.WithLabelValues(s.Source).Set(1)
	of.success.WithLabelValues(s.Source).Set(float64(s.Started.Add(s.Duration).UnixMilli()) / 1000)
	of.info.DeletePartialMatch(prometheus.Labels{"source": s.Source})
	of.info.WithLabelValues(s.Source, valid(s.Revision)).Set(1)
}
