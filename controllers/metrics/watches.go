// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RegisterWatches registers the metrics of the watches. Turns returns how many targets are watched at the moment, and how late a
// change is noticed at most because they take turns.
func RegisterWatches(r prometheus.Registerer, turns func() (targets int, delay time.Duration)) {
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
	}
	gauge("watches", "Trees of keys and parts of the catalog that this controller watches.", func() float64 {
		targets, _ := turns()
		return float64(targets)
	})
	gauge("watch_delay_seconds", "How late this controller notices a change at most, because watches take turns. 0 while they do not.",
		func() float64 {
			_, delay := turns()
			return delay.Seconds()
		})
}
