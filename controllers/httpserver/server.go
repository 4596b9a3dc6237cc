// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/netutil"
)

// Limits bound what clients of one listener take. Zero fields mean those of DefaultLimits.
type Limits struct {
	// Connections limits the open connections. Further ones wait.
	Connections int
	// ConnectionsPerAddress limits the open connections of one IPv4 address or IPv6 /64 network. Further ones are closed.
	ConnectionsPerAddress int
	// HeaderBytes limits the request line and the headers.
	HeaderBytes int
	// HeaderTimeout and ReadTimeout bound the time until the headers and the body have arrived, WriteTimeout that until the answer
	// is written, and IdleTimeout that between two requests. A handler that streams extends its deadlines.
	HeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
}

// DefaultLimits returns the default limits.
func DefaultLimits() Limits {
	return Limits{Connections: 1000, ConnectionsPerAddress: 100, HeaderBytes: 16 << 10, HeaderTimeout: 5 * time.Second,
		ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{cmp.Or(l.Connections, d.Connections), cmp.Or(l.ConnectionsPerAddress, d.ConnectionsPerAddress),
		cmp.Or(l.HeaderBytes, d.HeaderBytes), cmp.Or(l.HeaderTimeout, d.HeaderTimeout), cmp.Or(l.ReadTimeout, d.ReadTimeout),
		cmp.Or(l.WriteTimeout, d.WriteTimeout), cmp.Or(l.IdleTimeout, d.IdleTimeout)}
}

// Options configure a server.
type Options struct {
	// AllowedHosts are names and IP addresses that clients may send in the Host header, in addition to localhost and to the IP
	// address that they are connected to.
	AllowedHosts []string
	// Access has the files for TLS and authentication.
	Access Access
	Limits Limits
	Log    logr.Logger
}

// Server is a running server.
type Server struct {
	server   *http.Server
	listener net.Listener
	open     bool
	running  sync.WaitGroup
}

// Start listens at an address, host:port, and serves requests until Close.
func Start(ctx context.Context, address string, handler http.Handler, o Options) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return Serve(listener, handler, o), nil
}

// Serve serves requests of a listener until Close, which closes the listener.
func Serve(listener net.Listener, handler http.Handler, o Options) *Server {
	limits := o.Limits.withDefaults()
	loopback := isLoopback(listener.Addr())
	s := &Server{listener: listener, open: !loopback && !o.Access.authenticates(), server: &http.Server{
		Handler:           checkHost(o.AllowedHosts, handler),
		MaxHeaderBytes:    limits.HeaderBytes,
		ReadHeaderTimeout: limits.HeaderTimeout,
		ReadTimeout:       limits.ReadTimeout,
		WriteTimeout:      limits.WriteTimeout,
		IdleTimeout:       limits.IdleTimeout,
		Protocols:         new(http.Protocols),
	}}
	s.server.Protocols.SetHTTP1(true) // a stream of HTTP/2 would not count as a connection
	bounded := netutil.LimitListener(&perAddress{Listener: listener, most: limits.ConnectionsPerAddress, open: map[netip.Prefix]int{}},
		limits.Connections)
	serve := func() error { return s.server.Serve(bounded) }
	if o.Access.CertFile != "" && !loopback {
		s.server.TLSConfig = o.Access.tlsConfig(o.Log)
		serve = func() error { return s.server.ServeTLS(bounded, "", "") }
	}
	s.running.Go(func() {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error(err, "HTTP server stopped", "address", s.Addr())
		}
	})
	o.Log.Info("serving", "address", s.Addr())
	return s
}

// Addr returns the address of the listener.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Open reports whether clients of other machines need no authentication.
func (s *Server) Open() bool { return s.open }

// Close stops the server without waiting for requests, and returns when it has stopped.
func (s *Server) Close() {
	_ = s.server.Close() // an error has no effect: the listener is closed
	s.running.Wait()
}
