// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
)

// TestServer_ChecksHost sends Host headers to a server that listens on all addresses.
func TestServer_ChecksHost(t *testing.T) {
	s, err := httpserver.Start(t.Context(), ":0", http.HandlerFunc(handler),
		httpserver.Options{AllowedHosts: []string{"Ops.example.com", "192.0.2.7", "2001:db8::7"}, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Addr())
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:" + port: 200, "127.0.0.1:1": 200, "[::ffff:127.0.0.1]": 200, "localhost": 200,
		"localhost.:80": 200, "LocalHost": 200, "ops.example.com": 200, "OPS.EXAMPLE.COM.:443": 200, "192.0.2.7:80": 200,
		"[2001:db8::7]:80": 200, "[2001:db8::7]": 200,
		"evil.example": 421, "evil.example:" + port: 421, "127.0.0.2": 421, "0.0.0.0": 421, "[::]": 421, "[::1]": 421,
		"[::1%25lo]": 421, "127.1": 421, "2130706433": 421, "0x7f000001": 421, "127.0.0.1.evil.example": 421,
		"x.ops.example.com": 421, "ops.example.com.evil.example": 421, "localhost.evil.example": 421, "notlocalhost": 421,
		"evil.example#localhost": 421, "localhost:80:80": 421, "localhost@evil.example": 421, ":80": 421,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, response.StatusCode, want)
		}
		if want == 421 && !strings.Contains(string(text), "--allowed-hosts") {
			t.Errorf("Host %s: %s", host, text)
		}
	}
}

// TestServer_RefusesRequestsWithoutHost sends requests as no browser does.
func TestServer_RefusesRequestsWithoutHost(t *testing.T) {
	s := start(t, "127.0.0.1:0", httpserver.Limits{})
	for _, text := range []string{"GET / HTTP/1.0\r\n\r\n", "GET http://evil.example/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n"} {
		c := dial(t, s)
		send(t, c, s, text)
		line := make([]byte, len("HTTP/1.1 421"))
		if _, err := io.ReadFull(c, line); err != nil || string(line[9:]) != "421" {
			t.Errorf("%q: %q, %v", text, line, err)
		}
	}
}

func TestCheckAllowedHost(t *testing.T) {
	for host, valid := range map[string]bool{"ops.example.com": true, "CTL1": true, "10.0.0.1": true, "2001:db8::1": true,
		"ops.example.com:80": false, "https://ops.example.com": false, "*": false, "*.example.com": false, "a b": false, "[::1]": false} {
		if err := httpserver.CheckAllowedHost(host); (err == nil) != valid {
			t.Errorf("%s: %v", host, err)
		}
	}
}
