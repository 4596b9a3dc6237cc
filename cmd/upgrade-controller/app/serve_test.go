// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// endpoints are the paths of all endpoints, by the flag of their address.
func endpoints() map[string]string {
	return map[string]string{"health-probe": "/healthz", "metrics": "/metrics", "dashboard": "/", "webhook": "/hook/a"}
}

// serveAll runs a controller with all endpoints, each at an address of its own. It returns the addresses by flag.
func (b *bench) serveAll(args ...string) map[string]string {
	b.Helper()
	dir := b.TempDir()
	secret, file := filepath.Join(dir, "secret"), filepath.Join(dir, "config.yaml")
	text := "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: ControllerConfig\n" +
		"sources: [{name: a, url: 'file:///no/such/repository', webhookSecretFile: " + secret + "}]\n"
	for path, content := range map[string]string{secret: "hush", file: text} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	addresses := map[string]string{}
	for flag := range endpoints() {
		addresses[flag] = freeAddress(b.T)
		args = append(args, "--"+flag+"-bind-address", addresses[flag])
	}
	b.controller(append(args, "--config", file)...)
	return addresses
}

// status returns the status code for a request with a Host header.
func (b *bench) status(address, path, host string, header ...string) int {
	b.Helper()
	method := http.MethodGet
	if strings.HasPrefix(path, "/hook/") {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(b.Context(), method, "http://"+address+path, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// TestEndpoints_RefuseOtherHosts sends the Host headers of a browser after DNS rebinding.
func TestEndpoints_RefuseOtherHosts(t *testing.T) {
	b := newBench(t)
	addresses := b.serveAll("--allowed-hosts", "ops.example.com")
	for flag, path := range endpoints() {
		address := addresses[flag]
		_, port, _ := net.SplitHostPort(address)
		for _, host := range []string{"evil.example", "evil.example:" + port, "127.0.0.1.evil.example", "localhost.evil.example",
			"192.0.2.1", "[::1]", "ops.example.com.evil.example", "127.0.0.1@evil.example"} {
			if code := b.status(address, path, host); code != http.StatusMisdirectedRequest {
				t.Errorf("%s, Host %s: %d, want 421", flag, host, code)
			}
		}
		for _, host := range []string{address, "127.0.0.1", "localhost", "localhost:" + port, "LOCALHOST", "ops.example.com",
			"ops.example.com:443"} {
			if code := b.status(address, path, host); code == http.StatusMisdirectedRequest {
				t.Errorf("%s, Host %s: %d", flag, host, code)
			}
		}
	}
}

// TestEndpoints_WarnIfOthersCanRead serves metrics and the dashboard on all addresses, and on one whose name is that of loopback.
func TestEndpoints_WarnIfOthersCanRead(t *testing.T) {
	const warning = "served without authentication on an address other than loopback"
	b := newBench(t)
	_, port, _ := net.SplitHostPort(freeAddress(t))
	_, other, _ := net.SplitHostPort(freeAddress(t))
	out, stop := b.controller("--metrics-bind-address", ":"+port, "--dashboard-bind-address", "localhost:"+other,
		"--health-probe-bind-address", ":"+port)
	eventually(t, "the listeners", func() bool { return strings.Count(out.String(), "serving") >= 2 })
	stop()
	text := out.String()
	if strings.Count(text, warning) != 1 || !strings.Contains(text, `"flag": "--metrics-bind-address"`) {
		t.Errorf("want one warning, for metrics:\n%s", text)
	}
}

// TestEndpoints_RefuseLargeHeaders sends headers that take memory before a handler sees the request.
func TestEndpoints_RefuseLargeHeaders(t *testing.T) {
	b := newBench(t)
	for flag, address := range b.serveAll() {
		code := b.status(address, endpoints()[flag], address, "X-Large", strings.Repeat("x", 64<<10))
		if code != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %d, want 431", flag, code)
		}
	}
}

// TestEndpoints_LimitConnectionsOfAnAddress opens more connections to each endpoint than one address may have.
func TestEndpoints_LimitConnectionsOfAnAddress(t *testing.T) {
	const most = 5
	b := newBench(t)
	for flag, address := range b.serveAll("--serving-connections-per-address", fmt.Sprint(most)) {
		for i := range most + 3 {
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			_, _ = fmt.Fprintf(c, "GET /nowhere HTTP/1.1\r\nHost: %s\r\n\r\n", address) // the server may have closed it
			answer := make([]byte, 12)
			_, err = io.ReadFull(c, answer)
			if open := err == nil; open != (i < most) {
				t.Errorf("%s, connection %d: %q, %v", flag, i, answer, err)
			}
		}
	}
}
