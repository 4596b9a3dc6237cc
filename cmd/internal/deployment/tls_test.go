// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/hack/testca"
)

// authority is a CA in a folder.
type authority struct {
	*testca.Authority
	t         *testing.T
	dir, file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{Authority: testca.New(t, name), t: t, dir: t.TempDir()}
	a.file = write(t, filepath.Join(a.dir, name+".pem"), string(a.PEM))
	return a
}

// issue writes a certificate and its key to files.
func (a *authority) issue(name string, end time.Time, dns ...string) (cert, key string) {
	a.t.Helper()
	certificate, secret := a.Issue(name, end, dns...)
	path := filepath.Join(a.dir, name)
	return write(a.t, path+".pem", string(certificate)), write(a.t, path+"-key.pem", string(secret))
}

// client issues a certificate for a client.
func (a *authority) client(name string, end time.Time) access {
	cert, key := a.issue(name, end)
	return access{ca: a.file, cert: cert, key: key}
}

// serve runs a Consul with a certificate for 127.0.0.1 and consul.example.com that is good until end, and that wants one of its clients.
func (a *authority) serve(name string, end time.Time) *consuldev.Agent {
	a.t.Helper()
	cert, key := a.issue(name, end, "consul.example.com")
	return consultest.StartWith(a.t, consuldev.Options{ManagementToken: management,
		HTTPS: &consuldev.Certificates{CAFile: a.file, CertFile: cert, KeyFile: key}})
}

// access is how a client reaches Consul; what is empty is not given.
type access struct{ addr, ca, cert, key string }

func (a access) flags() []string {
	return given("--http-addr", a.addr, "--ca-file", a.ca, "--client-cert", a.cert, "--client-key", a.key)
}

func (a access) env() []string {
	var env []string
	flags := given("CONSUL_HTTP_ADDR", a.addr, "CONSUL_CACERT", a.ca, "CONSUL_CLIENT_CERT", a.cert, "CONSUL_CLIENT_KEY", a.key)
	for i := 0; i < len(flags); i += 2 {
		env = append(env, flags[i]+"="+flags[i+1])
	}
	return env
}

func given(pairs ...string) []string {
	var kept []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			kept = append(kept, pairs[i], pairs[i+1])
		}
	}
	return kept
}

// looking are the binaries with the arguments of a call that asks Consul for something.
func looking(t *testing.T) map[string][]string {
	return map[string][]string{
		"upgradectl": {"status"},
		"upgrade-agent": {"once", "--hostname", "web1", "--exec", "/bin/true", "--version-file",
			filepath.Join(t.TempDir(), "version")},
		"upgrade-controller": {"--health-probe-bind-address", "0"},
	}
}

const tokenEnv = "CONSUL_HTTP_TOKEN=" + management

func TestAllSpeakTLSWithCertificatesOfTheirOwn(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	good := ca.client("client", time.Now().Add(time.Hour))
	good.addr = "https://" + ca.serve("server", time.Now().Add(time.Hour)).AddrTLS()
	for name, args := range looking(t) {
		byFlags := program{name, []string{tokenEnv}}
		byEnv := program{name, append(good.env(), tokenEnv)}
		withFlags := slices.Concat(args, good.flags())
		if name != "upgrade-controller" {
			byFlags.must(t, withFlags...)
			byEnv.must(t, args...)
			continue
		}
		for _, out := range []*output{byFlags.start(t, withFlags...), byEnv.start(t, args...)} {
			eventually(t, "the lock to be seen", func() bool {
				return strings.Contains(out.String(), "leading") || strings.Contains(out.String(), "standing by")
			})
		}
	}
}

func TestCertificateErrors_NameTheProblem(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	later, ended := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	consul := ca.serve("server", later)
	server := "https://" + consul.AddrTLS()
	good := ca.client("client", later)
	with := func(change func(*access)) access {
		a := good
		a.addr = server
		change(&a)
		return a
	}
	expired, foreign := ca.client("expired", ended), other.client("foreign", later)
	var all sync.WaitGroup
	defer all.Wait() // each tries for a while: all at once
	for _, tt := range []struct {
		what   string
		access access
		says   string
	}{
		{"wrong CA", with(func(a *access) { a.ca = other.file }), "certificate signed by unknown authority"},
		{"no CA", with(func(a *access) { a.ca = "" }), "certificate signed by unknown authority"},
		{"no client certificate", with(func(a *access) { a.cert, a.key = "", "" }), "certificate required"},
		{"client certificate of another CA", with(func(a *access) { a.cert, a.key = foreign.cert, foreign.key }),
			"certificate required"}, // the client sends none that the server has said it will not take
		{"expired client certificate", with(func(a *access) { a.cert, a.key = expired.cert, expired.key }), "expired certificate"},
		{"expired server certificate", with(func(a *access) { a.addr = "https://" + ca.serve("old", ended).AddrTLS() }),
			"certificate has expired"},
		{"wrong host name", with(func(a *access) { a.addr = strings.Replace(server, "127.0.0.1", "localhost", 1) }),
			"valid for consul.example.com, not localhost"},
		{"server without TLS", with(func(a *access) { a.addr = "https://" + consul.Addr() }), "HTTP response to HTTPS client"},
		{"address without https", with(func(a *access) { a.addr = consul.AddrTLS() }), "would use plain HTTP"},
		{"missing file", with(func(a *access) { a.ca = "/no/such/ca.pem" }), "/no/such/ca.pem"},
		{"key without certificate", with(func(a *access) { a.cert = "" }), "both client cert and client key must be provided"},
	} {
		for name, args := range looking(t) {
			p := program{name, append(tt.access.env(), tokenEnv)}
			all.Go(func() {
				out := p.complain(t, tt.says, args...)
				if !strings.Contains(out, tt.says) || strings.Contains(out, "leading") || strings.Contains(out, management) {
					t.Errorf("%s with %s: want %q, and no token:\n%s", name, tt.what, tt.says, out)
				}
			})
		}
	}
}

// complain runs a binary that must fail, a daemon until it says why, and returns what it wrote.
func (p program) complain(t *testing.T, says string, args ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd, out := p.command(args...), &output{}
	if p.name == "upgrade-controller" {
		out.seek, out.found = says, cancel
	}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Start()
	if err == nil {
		defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
		err = cmd.Wait()
	}
	if err == nil {
		t.Errorf("%s succeeded", p.name)
	}
	return out.String()
}

// TestNothingIsSentInTheClearToAnAddressWithHTTPS listens where Consul should be, and refuses to speak TLS.
func TestNothingIsSentInTheClearToAnAddressWithHTTPS(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan []byte)
	go func() {
		defer close(heard)
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			first := make([]byte, 4096)
			n, _ := connection.Read(first)
			_ = connection.Close()
			heard <- first[:n]
		}
	}()
	var all sync.WaitGroup
	for name, args := range looking(t) {
		p := program{name, []string{"CONSUL_HTTP_ADDR=https://" + listener.Addr().String(), tokenEnv}}
		all.Go(func() { p.complain(t, "EOF", args...) })
	}
	go func() {
		all.Wait()
		_ = listener.Close()
	}()
	const handshake = 22 // RFC 8446, section 5.1
	connections := 0
	for first := range heard {
		connections++
		if len(first) == 0 || first[0] != handshake || bytes.Contains(first, []byte(management)) {
			t.Errorf("it began with %.40q", first)
		}
	}
	if connections < 3 {
		t.Errorf("%d connections", connections)
	}
}
