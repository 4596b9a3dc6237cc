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

	"github.com/jiocloud/upgrade-controller/controllers/manager"
)

// readyTimeout bounds what /readyz asks Consul.
const readyTimeout = 3 * time.Second

// off is the address that turns a listener off.
const off = "0"

// serveHealth serves /healthz and /readyz until stop is called.
func serveHealth(ctx context.Context, address string, m *manager.Manager, log logr.Logger) (stop func(), err error) {
	if address == off {
		return func() {}, nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--health-probe-bind-address %s: %w", address, err)
	}
	server := &http.Server{Handler: healthHandler(m), ReadHeaderTimeout: readyTimeout}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error(err, "health is no longer served")
		}
	}()
	log.Info("serving health", "address", listener.Addr().String())
	return func() {
		_ = server.Close() // nothing in it is worth waiting for
		<-ended
	}, nil
}

func healthHandler(m *manager.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, "ok", m.Healthy()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		doing, err := m.Ready(ctx)
		answer(w, doing, err)
	})
	return mux
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, text) // who asked may be gone
}
