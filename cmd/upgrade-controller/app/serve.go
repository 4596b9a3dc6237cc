// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jiocloud/upgrade-controller/controllers/manager"
)

// readyTimeout bounds what /readyz asks Consul.
const readyTimeout = 3 * time.Second

// endpoint is what a flag says where to serve.
type endpoint struct {
	flag, address string
	routes        func(*http.ServeMux)
}

// serve serves until stop is called. Endpoints with the same address share a listener.
func serve(ctx context.Context, log logr.Logger, endpoints ...endpoint) (stop func(), err error) {
	muxes := map[string]*http.ServeMux{}
	var first []endpoint // of each address
	for _, e := range endpoints {
		if e.address == off {
			continue
		}
		if muxes[e.address] == nil {
			muxes[e.address] = http.NewServeMux()
			first = append(first, e)
		}
		e.routes(muxes[e.address])
	}
	var stops []func()
	stop = func() {
		for _, stop := range stops {
			stop()
		}
	}
	for _, e := range first {
		one, err := listen(ctx, log, e.address, muxes[e.address])
		if err != nil {
			stop()
			return nil, fmt.Errorf("--%s %s: %w", e.flag, e.address, err)
		}
		stops = append(stops, one)
	}
	return stop, nil
}

func listen(ctx context.Context, log logr.Logger, address string, handler http.Handler) (stop func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: readyTimeout}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error(err, "nothing is served any more", "address", address)
		}
	}()
	log.Info("serving", "address", listener.Addr().String())
	return func() {
		_ = server.Close() // nothing in it is worth waiting for
		<-ended
	}, nil
}

func metricsRoutes(registry *prometheus.Registry) func(*http.ServeMux) {
	return func(mux *http.ServeMux) {
		mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	}
}

func healthRoutes(m *manager.Manager) func(*http.ServeMux) {
	return func(mux *http.ServeMux) {
		mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, "ok", m.Healthy()) })
		mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
			defer cancel()
			doing, err := m.Ready(ctx)
			answer(w, doing, err)
		})
	}
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, text) // who asked may be gone
}
