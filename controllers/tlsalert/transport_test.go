// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package tlsalert_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/tlsalert"
)

// server is a TLS server that says when it has closed a connection.
type server struct {
	*httptest.Server
	closed chan struct{}
}

func serve(t *testing.T, auth tls.ClientAuthType, http2 bool) *server {
	t.Helper()
	s, once := &server{closed: make(chan struct{})}, sync.Once{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.EnableHTTP2 = http2
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: auth}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			once.Do(func() { close(s.closed) })
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// client is a transport whose first connection is c.
func (s *server) client(c *connection) *http.Transport {
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	return &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: trusted},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed, err := new(net.Dialer).DialContext(ctx, network, address)
			switch {
			case err != nil:
				return nil, err
			case c.dialed.CompareAndSwap(false, true):
				c.Conn = dialed
				return c, nil
			case c.again != nil:
				c.again()
			}
			return dialed, nil
		}}
}

// connection is a connection of a client. What the client writes after the handshake is never sent.
type connection struct {
	net.Conn
	dialed, established atomic.Bool
	write               func() error // after the handshake
	again               func()       // when the client has connected again; nil: nothing
	readLate            bool         // after the handshake, not before Close
	once                sync.Once
	closed              chan struct{}
}

func (c *connection) Read(data []byte) (int, error) {
	if c.readLate && c.established.Load() {
		<-c.closed
	}
	return c.Conn.Read(data)
}

func (c *connection) Write(data []byte) (int, error) {
	if !c.established.Load() {
		return c.Conn.Write(data)
	}
	if err := c.write(); err != nil {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: err}
	}
	return len(data), nil
}

func (c *connection) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// get sends a request. It waits for ready before the first request on a connection.
func (c *connection) get(ctx context.Context, s *server, through http.RoundTripper, ready <-chan struct{}) error {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(tls.ConnectionState, error) { c.established.Store(true) },
		GotConn:          func(httptrace.GotConnInfo) { <-ready },
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: through}).Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	return err
}

func TestTransport_NamesTheAlert(t *testing.T) {
	t.Parallel()
	always := make(chan struct{})
	close(always)
	for _, tt := range []struct {
		name    string
		http2   bool
		dropped bool   // the client has read the alert
		without string // Transport
	}{
		{"HTTP/1.1, the first write fails", false, false, "broken pipe"},
		{"HTTP/2, the first write fails", true, false, "broken pipe"},
		{"HTTP/2, the connection ends before the first request", true, true, "client conn could not be established"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, want := range []string{tt.without, "remote error: tls: certificate required"} {
				s := serve(t, tls.RequireAnyClientCert, tt.http2)
				c, ready := &connection{closed: make(chan struct{}), readLate: true}, (<-chan struct{})(always)
				c.write = func() error { // the alert waits to be read
					<-s.closed
					return syscall.EPIPE
				}
				if tt.dropped {
					c.write, c.readLate, ready = func() error { return nil }, false, c.closed
				}
				transport := s.client(c)
				var through http.RoundTripper = transport
				if want != tt.without {
					through = tlsalert.Transport{Transport: transport}
				}
				if err := c.get(t.Context(), s, through, ready); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
}

func TestTransport_KeepsOtherErrors(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		s := serve(t, tls.NoClientCert, http2)
		c := &connection{closed: make(chan struct{}), write: func() error { return syscall.EPIPE }}
		ctx, cancel := context.WithCancel(t.Context())
		if !http2 { // this server does not say that it accepts the client: only the context ends the wait
			c.again = cancel
		}
		ready := make(chan struct{})
		close(ready)
		transport := s.client(c)
		through := tlsalert.Transport{Transport: transport}
		if err := c.get(ctx, s, through, ready); err == nil || !strings.Contains(err.Error(), "broken pipe") || http2 && ctx.Err() != nil {
			t.Errorf("HTTP/2 %v: %v", http2, err)
		}
		cancel()
		c.again = nil
		if err := c.get(t.Context(), s, through, ready); err != nil {
			t.Errorf("a connection that does not fail: %v", err)
		}
	}
}

func TestTransport_DoesNotAskAgainForAReason(t *testing.T) {
	t.Parallel()
	s := serve(t, tls.NoClientCert, true)
	dials := 0
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	for url, want := range map[string]string{s.URL: "certificate signed by unknown authority", "https://127.0.0.1:1": "refused"} {
		dials = 0
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (tlsalert.Transport{Transport: transport}).RoundTrip(request); err == nil ||
			!strings.Contains(err.Error(), want) || dials != 1 {
			t.Errorf("%s: %v after %d connections", url, err, dials)
		}
	}
}
