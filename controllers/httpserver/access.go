// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/go-logr/logr"
)

// minToken is the length of the shortest bearer token that is accepted, in bytes.
const minToken = 16

// Access has the files for TLS and authentication at addresses other than loopback. All files are read again for each connection
// or request, so that they can be replaced at any time.
type Access struct {
	// CertFile and KeyFile turn TLS on. They are PEM files.
	CertFile, KeyFile string
	// ClientCAFile has the certificates, PEM, that sign those of clients.
	ClientCAFile string
	// TokenFile has the bearer token of clients.
	TokenFile string
}

// Check reads the files, and returns an error for those that cannot be used.
func (a Access) Check() error {
	switch {
	case (a.CertFile == "") != (a.KeyFile == ""):
		return errors.New("a certificate needs a key, and a key a certificate")
	case a.CertFile == "" && a.authenticates():
		return errors.New("client certificates and tokens need TLS: a token that is sent in clear text protects nothing")
	case a.CertFile == "":
		return nil
	}
	if _, err := a.load(); err != nil {
		return err
	}
	if a.TokenFile == "" {
		return nil
	}
	_, err := a.token()
	return err
}

func (a Access) authenticates() bool { return a.ClientCAFile+a.TokenFile != "" }

// isLoopback reports whether only clients on this machine can connect to one of its addresses. A listener on all addresses has none
// that is loopback, but its connections may have.
func isLoopback(local net.Addr) bool {
	tcp, ok := local.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Protect requires a client certificate or the bearer token, if either is configured. Clients on this machine, connected to
// its loopback address, need neither.
func (a Access) Protect(log logr.Logger, next http.Handler) http.Handler {
	if !a.authenticates() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		certified := r.TLS != nil && len(r.TLS.VerifiedChains) > 0
		if certified || isLoopback(local) || a.hasToken(log, r) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a client certificate or a bearer token is required", http.StatusUnauthorized)
	})
}

// hasToken reports whether a request has the bearer token.
func (a Access) hasToken(log logr.Logger, r *http.Request) bool {
	given, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found || a.TokenFile == "" {
		return false
	}
	want, err := a.token()
	if err != nil {
		log.Error(err, "cannot read the token of HTTP clients")
		return false
	}
	// Hashes have the same length, so that the comparison does not tell the length of the token.
	hash, other := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(hash[:], other[:]) == 1
}

func (a Access) token() (string, error) {
	data, err := os.ReadFile(a.TokenFile)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minToken {
		return "", fmt.Errorf("%s: a token must have at least %d characters", a.TokenFile, minToken)
	}
	return token, nil
}

// tlsConfig returns a config that loads the files at each handshake. While they cannot be used, the last ones stay.
func (a Access) tlsConfig(log logr.Logger) *tls.Config {
	var mu sync.Mutex
	var last *tls.Config
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		config, err := a.load()
		switch {
		case err == nil:
			last = config
		case last == nil:
			return nil, err
		default:
			log.Error(err, "cannot read the certificates of the HTTP server; using the last ones")
		}
		return last, nil
	}}
}

// load reads the certificates. A client without a certificate is not refused here, since health probes need none.
func (a Access) load() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", a.CertFile, a.KeyFile, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"},
		SessionTicketsDisabled: true} // a resumed session would keep a client whose CA was replaced
	if a.ClientCAFile == "" {
		return config, nil
	}
	data, err := os.ReadFile(a.ClientCAFile)
	if err != nil {
		return nil, err
	}
	config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: has no certificate in PEM", a.ClientCAFile)
	}
	return config, nil
}
