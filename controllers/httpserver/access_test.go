// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
	"github.com/jiocloud/upgrade-controller/controllers/httpserver/pipenet"
	"github.com/jiocloud/upgrade-controller/hack/testca"
)

const bearer = "0123456789abcdef"

// guarded is a server on all addresses. Its handler treats each connection as one from another machine.
type guarded struct {
	*testing.T
	access  httpserver.Access
	servers *testca.Authority
	server  *httpserver.Server
}

func newGuarded(t *testing.T, with func(*httpserver.Access)) *guarded {
	t.Helper()
	dir := t.TempDir()
	g := &guarded{T: t, servers: testca.New(t, "servers"),
		access: httpserver.Access{CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}}
	g.servers.WriteFiles("server", g.access.CertFile, g.access.KeyFile)
	with(&g.access)
	if err := g.access.Check(); err != nil {
		t.Fatal(err)
	}
	protected := g.access.Protect(logr.Discard(), http.HandlerFunc(handler))
	remote := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
		protected.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
	})
	var err error
	g.server, err = httpserver.Start(t.Context(), ":0", remote, httpserver.Options{Access: g.access, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.server.Close)
	return g
}

// get returns the status of an answer. It makes a connection for each request.
func (g *guarded) get(header string, certificates ...tls.Certificate) (int, error) {
	g.Helper()
	_, port, _ := net.SplitHostPort(g.server.Addr())
	r, err := http.NewRequestWithContext(g.Context(), http.MethodGet, "https://127.0.0.1:"+port+"/", http.NoBody)
	if err != nil {
		g.Fatal(err)
	}
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.servers.Pool(), Certificates: certificates}, DisableKeepAlives: true}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	return response.StatusCode, nil
}

func (g *guarded) want(status int, header string, certificates ...tls.Certificate) {
	g.Helper()
	if got, err := g.get(header, certificates...); got != status || err != nil {
		g.Errorf("Authorization %q, %d certificates: %d, %v, want %d", header, len(certificates), got, err, status)
	}
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAccess_RequiresTheToken(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "token"), bearer+"\n")
	g := newGuarded(t, func(a *httpserver.Access) { a.TokenFile = file })
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer " + bearer[1:], "Bearer " + bearer + "x", "bearer " + bearer,
		"Basic " + bearer, bearer} {
		g.want(http.StatusUnauthorized, header)
	}
	g.want(http.StatusOK, "Bearer "+bearer)
	g.want(http.StatusUnauthorized, "", testca.New(t, "others").Pair("client"))
	writeFile(t, file, strings.ToUpper(bearer))
	g.want(http.StatusUnauthorized, "Bearer "+bearer)
	g.want(http.StatusOK, "Bearer "+strings.ToUpper(bearer))
	writeFile(t, file, "")
	g.want(http.StatusUnauthorized, "Bearer ")
	g.want(http.StatusUnauthorized, "Bearer "+strings.ToUpper(bearer))
}

func TestAccess_RequiresAClientCertificate(t *testing.T) {
	clients, others := testca.New(t, "clients"), testca.New(t, "clients")
	file := writeFile(t, filepath.Join(t.TempDir(), "ca"), string(clients.PEM))
	g := newGuarded(t, func(a *httpserver.Access) { a.ClientCAFile = file })
	g.want(http.StatusUnauthorized, "")
	g.want(http.StatusUnauthorized, "Bearer "+bearer)
	g.want(http.StatusOK, "", clients.Pair("prometheus"))
	if status, err := g.get("", others.Pair("prometheus")); err == nil && status != http.StatusUnauthorized {
		t.Errorf("certificate of another CA: %d", status)
	}
	writeFile(t, file, string(others.PEM))
	g.want(http.StatusOK, "", others.Pair("prometheus"))
	if status, err := g.get("", clients.Pair("prometheus")); err == nil && status != http.StatusUnauthorized {
		t.Errorf("certificate of the CA before: %d", status)
	}
}

func TestAccess_ReadsReplacedCertificates(t *testing.T) {
	g := newGuarded(t, func(*httpserver.Access) {})
	g.want(http.StatusOK, "")
	writeFile(t, g.access.KeyFile, "half of a k")
	g.want(http.StatusOK, "") // the last certificate
	g.servers = testca.New(t, "servers of next year")
	g.servers.WriteFiles("server", g.access.CertFile, g.access.KeyFile)
	g.want(http.StatusOK, "")
}

func TestAccess_Check(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	testca.New(t, "servers").WriteFiles("server", cert, key)
	short, nonsense := writeFile(t, filepath.Join(dir, "short"), "secret"), writeFile(t, filepath.Join(dir, "nonsense"), "x")
	for want, a := range map[string]httpserver.Access{
		"":                            {},
		"a certificate needs a key":   {CertFile: cert},
		"and a key a certificate":     {KeyFile: key},
		"need TLS":                    {TokenFile: short},
		"client certificates and":     {ClientCAFile: cert},
		"at least 16 characters":      {CertFile: cert, KeyFile: key, TokenFile: short},
		"no such file":                {CertFile: cert, KeyFile: key, TokenFile: short + "s"},
		"has no certificate in PEM":   {CertFile: cert, KeyFile: key, ClientCAFile: nonsense},
		"failed to find any PEM data": {CertFile: nonsense, KeyFile: key},
	} {
		if err := a.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
}

// at is a listener with an address that this machine does not need to have.
type at struct {
	net.Listener
	address net.TCPAddr
}

func (l *at) Addr() net.Addr { return &l.address }

func TestServer_Open(t *testing.T) {
	for address, open := range map[string]bool{"127.0.0.1": false, "127.8.0.1": false, "::1": false, "::ffff:127.0.0.1": false,
		"::": true, "0.0.0.0": true, "192.0.2.1": true, "2001:db8::1": true} {
		for name, access := range map[string]httpserver.Access{"": {}, "token": {TokenFile: "x"}, "CA": {ClientCAFile: "x"}} {
			listener := &at{(&pipenet.Network{}).Listen(), net.TCPAddr{IP: net.ParseIP(address), Port: 80}}
			s := httpserver.Serve(listener, http.NotFoundHandler(), httpserver.Options{Access: access, Log: logr.Discard()})
			t.Cleanup(s.Close)
			if got, want := s.Open(), open && name == ""; got != want {
				t.Errorf("%s %s: %t, want %t", address, name, got, want)
			}
		}
	}
	for _, address := range []string{"localhost:0", "127.0.0.1:0"} {
		if start(t, address, httpserver.Limits{}).Open() {
			t.Errorf("%s is open", address)
		}
	}
}
