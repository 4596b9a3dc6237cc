// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
)

// readyTimeout limits the request of /readyz to Consul.
const readyTimeout = 3 * time.Second

// endpoint has routes that are served at the address of a flag.
type endpoint struct {
	flag, address string
	// protected endpoints require the authentication that the options configure.
	protected bool
	// routes are handlers by their patterns.
	routes map[string]http.Handler
}

// servers are HTTP servers that run.
type servers []*httpserver.Server

// close stops the servers without waiting for requests, and returns when they have stopped.
func (s servers) close() {
	for _, server := range s {
		server.Close()
	}
}

// serve starts a server for each address. Endpoints with the same address share a server.
func serve(ctx context.Context, o httpserver.Options, endpoints ...endpoint) (servers, error) {
	muxes := map[string]*http.ServeMux{}
	var first []endpoint // the first endpoint of each address
	for _, e := range endpoints {
		if e.address == off {
			continue
		}
		if muxes[e.address] == nil {
			muxes[e.address] = http.NewServeMux()
			first = append(first, e)
		}
		e.register(muxes[e.address], o)
	}
	var running servers
	for _, e := range first {
		server, err := httpserver.Start(ctx, e.address, muxes[e.address], o)
		if err != nil {
			running.close()
			return nil, fmt.Errorf("--%s %s: %w", e.flag, e.address, err)
		}
		running = append(running, server)
		if server.Open() {
			warnOpen(o.Log, server, e.address, endpoints)
		}
	}
	return running, nil
}

// warnOpen logs which protected endpoints any client can read at an address.
func warnOpen(log logr.Logger, server *httpserver.Server, address string, endpoints []endpoint) {
	for _, e := range endpoints {
		if e.address == address && e.protected {
			log.Info("served without authentication on an address other than loopback; set --serving-client-ca or --serving-token-file",
				"flag", "--"+e.flag, "address", server.Addr())
		}
	}
}

// register adds the routes of an endpoint to those of its address.
func (e endpoint) register(mux *http.ServeMux, o httpserver.Options) {
	for pattern, handler := range e.routes {
		if e.protected {
			handler = o.Access.Protect(o.Log, handler)
		}
		mux.Handle(pattern, handler)
	}
}

func metricsEndpoint(address string, registry *prometheus.Registry) endpoint {
	return endpoint{metricsFlag, address, true, map[string]http.Handler{
		"GET /metrics": promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}}
}

func dashboardEndpoint(address string, pages http.Handler) endpoint {
	return endpoint{dashboardFlag, address, true, map[string]http.Handler{"GET /": pages}}
}

func webhookEndpoint(address string, hooks http.Handler) endpoint {
	return endpoint{webhookFlag, address, false, map[string]http.Handler{"POST /hook/{source}": hooks}}
}

func healthEndpoint(address string, m *manager.Manager) endpoint {
	healthy := func(w http.ResponseWriter, _ *http.Request) { answer(w, "ok", m.Healthy()) }
	ready := func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		state, err := m.Ready(ctx)
		answer(w, state, err)
	}
	return endpoint{healthFlag, address, false, map[string]http.Handler{
		"GET /healthz": http.HandlerFunc(healthy), "GET /readyz": http.HandlerFunc(ready)}}
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, text) // the client may have disconnected
}
