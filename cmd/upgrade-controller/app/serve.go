// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jiocloud/upgrade-controller/controllers/manager"
)

// readyTimeout limits the request of /readyz to Consul.
const readyTimeout = 3 * time.Second

// endpoint has routes that are served at the address of a flag.
type endpoint struct {
	flag, address string
	routes        func(*http.ServeMux)
}

// servers are HTTP servers that run.
type servers struct {
	list    []*http.Server
	running sync.WaitGroup
}

// close stops the servers without waiting for requests, and returns when they have stopped.
func (s *servers) close() {
	for _, server := range s.list {
		_ = server.Close() // an error has no effect: the process ends
	}
	s.running.Wait()
}

// serve starts a server for each address. Endpoints with the same address share a server.
func serve(ctx context.Context, log logr.Logger, endpoints ...endpoint) (*servers, error) {
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
		e.routes(muxes[e.address])
	}
	s := &servers{}
	for _, e := range first {
		if err := s.start(ctx, log, e.address, muxes[e.address]); err != nil {
			s.close()
			return nil, fmt.Errorf("--%s %s: %w", e.flag, e.address, err)
		}
	}
	return s, nil
}

func (s *servers) start(ctx context.Context, log logr.Logger, address string, handler http.Handler) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: readyTimeout}
	s.list = append(s.list, server)
	s.running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error(err, "HTTP server stopped", "address", address)
		}
	})
	log.Info("serving", "address", listener.Addr().String())
	return nil
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
			state, err := m.Ready(ctx)
			answer(w, state, err)
		})
	}
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, text) // the client may have disconnected
}
