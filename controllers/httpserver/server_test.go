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
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
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
			t.Parallel()
			s := start(t, "127.0.0.1:0", short())
			c := dial(t, s)
			send(t, c, s, text)
			if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the connection did not end: %v", err)
			}
		})
	}
}

// TestServer_EndsClientsThatDoNotRead asks for a large answer and does not read it.
func TestServer_EndsClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	s := start(t, "127.0.0.1:0", short())
	c := dial(t, s)
	send(t, c, s, "GET /large HTTP/1.1\r\nHost: HOST\r\n\r\n")
	wait := time.NewTimer(time.Second)
	<-wait.C
	n, err := io.Copy(io.Discard, c)
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || n > 60<<20 {
		t.Errorf("%d bytes after the timeout: %v", n, err)
	}
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
	t.Parallel()
	s := start(t, "127.0.0.1:0", httpserver.Limits{Connections: 2})
	first := dial(t, s)
	for _, c := range []net.Conn{first, dial(t, s)} {
		send(t, c, s, "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n")
		answer(t, c)
	}
	third := dial(t, s)
	send(t, third, s, "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n")
	_ = third.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := third.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes over the limit", n)
	}
	_ = first.Close()
	_ = third.SetReadDeadline(time.Now().Add(time.Minute))
	answer(t, third)
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
