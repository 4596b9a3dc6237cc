// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
	"github.com/jiocloud/upgrade-controller/controllers/httpserver/pipenet"
)

// handler answers /large with 64 MiB, /stream with events, and others with the size of the body.
func handler(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/large":
		for range 64 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	case "/wait":
		<-r.Context().Done()
	default:
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprintf(w, "%d bytes", n)
	}
}

// short are limits that a test reaches.
func short() httpserver.Limits {
	return httpserver.Limits{HeaderTimeout: 200 * time.Millisecond, ReadTimeout: 200 * time.Millisecond,
		WriteTimeout: 200 * time.Millisecond, IdleTimeout: 200 * time.Millisecond}
}

func start(t *testing.T, address string, limits httpserver.Limits) *httpserver.Server {
	t.Helper()
	s, err := httpserver.Start(t.Context(), address, http.HandlerFunc(handler), httpserver.Options{Limits: limits, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, s *httpserver.Server) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // a server without timeouts fails the test
	return c
}

func send(t *testing.T, c net.Conn, s *httpserver.Server, text string) {
	t.Helper()
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "HOST", s.Addr())); err != nil {
		t.Fatal(err)
	}
}

// piped starts a server in a synctest bubble, and returns it with a connection to it.
func piped(t *testing.T, limits httpserver.Limits) (*httpserver.Server, net.Conn) {
	t.Helper()
	network := &pipenet.Network{}
	s := httpserver.Serve(network.Listen(), http.HandlerFunc(handler), httpserver.Options{Limits: limits, Log: logr.Discard()})
	t.Cleanup(s.Close)
	c, err := network.DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return s, c
}

// TestServer_EndsSlowClients has one row for each way to keep a connection without using it.
func TestServer_EndsSlowClients(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "",
		"half of a header":  "GET / HTTP/1.1\r\nHost: HO",
		"half of a body":    "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 100\r\n\r\nx",
		"idle":              "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n",
		"an endless chunk":  "POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"nothing in a pipe": "GET / HTTP/1.1\r\nHost: HOST\r\n\r\nGET / HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := piped(t, short())
				begun := time.Now()
				go func() { _, _ = io.WriteString(c, strings.ReplaceAll(text, "HOST", s.Addr())) }()
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Errorf("the connection did not end: %v", err)
				}
				if took := time.Since(begun); took > time.Second {
					t.Errorf("the connection ended after %s", took)
				}
			})
		})
	}
}

// TestServer_EndsClientsThatDoNotRead asks for a large answer and does not read it.
func TestServer_EndsClientsThatDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := piped(t, short())
		send(t, c, s, "GET /large HTTP/1.1\r\nHost: HOST\r\n\r\n")
		<-time.After(time.Second)
		if n, err := io.Copy(io.Discard, c); err != nil || n > 1<<20 {
			t.Errorf("%d bytes after the timeout: %v", n, err)
		}
	})
}

func TestServer_LimitsConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	s := start(t, "127.0.0.1:0", httpserver.Limits{ConnectionsPerAddress: 2})
	first, second := dial(t, s), dial(t, s)
	for _, c := range []net.Conn{first, second} {
		send(t, c, s, "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n")
		answer(t, c)
	}
	if _, err := io.Copy(io.Discard, dial(t, s)); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the third connection: %v", err)
	}
	_ = first.Close()
	again := func() error {
		c := dial(t, s)
		defer c.Close()
		_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", s.Addr()) // the server may close it
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for again() != nil {
		if ctx.Err() != nil {
			t.Fatal("a closed connection still counts")
		}
	}
}

func answer(t *testing.T, c net.Conn) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

// TestServer_LimitsAllConnections checks that a further connection waits until another one ends.
func TestServer_LimitsAllConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &pipenet.Network{}
		s := httpserver.Serve(network.Listen(), http.HandlerFunc(handler), httpserver.Options{Limits: httpserver.Limits{Connections: 2},
			Log: logr.Discard()})
		t.Cleanup(s.Close)
		answered := make(chan net.Conn, 3)
		ask := func() {
			c, err := network.DialContext(t.Context(), "tcp", s.Addr()) // it waits as in the backlog of a socket
			if err == nil {
				t.Cleanup(func() { _ = c.Close() })
				send(t, c, s, "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n")
				answer(t, c)
			}
			answered <- c
		}
		for range 3 {
			go ask()
		}
		synctest.Wait()
		if len(answered) != 2 {
			t.Fatalf("%d connections are served, want 2", len(answered))
		}
		_ = (<-answered).Close()
		<-answered
		if c := <-answered; c == nil {
			t.Error("the third connection failed")
		}
	})
}

func TestServer_LimitsHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, "127.0.0.1:0", httpserver.Limits{})
	for _, text := range []string{"GET /" + strings.Repeat("x", 32<<10) + " HTTP/1.1\r\nHost: HOST\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: HOST\r\nX: " + strings.Repeat("x", 32<<10) + "\r\n\r\n"} {
		c := dial(t, s)
		send(t, c, s, text)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%.20s: %v, %v", text, response, err)
			continue
		}
		_ = response.Body.Close()
	}
}
