// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Expiry has the metrics of the credentials that this controller uses with Consul.
type Expiry struct{ end, lifetime *prometheus.GaugeVec }

// NewExpiry registers the metrics.
func NewExpiry(r prometheus.Registerer) *Expiry {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, []string{"kind"})
	}
	e := &Expiry{
		end: gauge("credential_expiry_timestamp_seconds",
			"When a credential for Consul expires. Kind is token, login (the token of a login) or certificate."),
		lifetime: gauge("credential_lifetime_seconds", "Time from the creation of a credential for Consul to its expiry."),
	}
	r.MustRegister(e.end, e.lifetime)
	return e
}

// Set sets the credentials that expire. Others have no series.
func (e *Expiry) Set(all []store.Credential) {
	e.end.Reset()
	e.lifetime.Reset()
	for _, c := range all {
		e.end.WithLabelValues(c.Kind).Set(float64(c.End.Unix()))
		e.lifetime.WithLabelValues(c.Kind).Set(c.End.Sub(c.Begin).Seconds())
	}
}
