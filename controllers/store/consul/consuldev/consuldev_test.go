// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consuldev_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

const token = "2b8e1a4c-0000-4000-8000-00000000000a"

func get(t *testing.T, a *consuldev.Agent, token string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Addr()+"/v1/kv/a?keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Consul-Token", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestStartAndStop(t *testing.T) {
	for name, options := range map[string]consuldev.Options{
		"dev": {}, "server": {Server: true}, "dev with ACLs": {ManagementToken: token},
		"server with ACLs": {Server: true, ManagementToken: token},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			options.Binary = consultest.Binary(t)
			a, err := consuldev.Start(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = a.Stop() }()
			if status, body := get(t, a, options.ManagementToken); status != http.StatusNotFound {
				t.Errorf("status %d: %s", status, body)
			}
			if status, body := get(t, a, "2b8e1a4c-0000-4000-8000-00000000000b"); options.ManagementToken != "" &&
				status != http.StatusForbidden {
				t.Errorf("another token got status %d: %s", status, body)
			}
			for range 2 {
				if err := a.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := http.Get("http://" + a.Addr() + "/v1/status/leader"); err == nil {
				t.Error("it answers after Stop")
			}
			if left, err := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestStart_ExtraConfigTakesPrecedence(t *testing.T) {
	a := consultest.StartWith(t, consuldev.Options{ManagementToken: token,
		Config: "node_name = \"other\"\nacl { default_policy = \"allow\" }"})
	if status, body := get(t, a, ""); status != http.StatusNotFound {
		t.Errorf("without a token, where all is allowed: status %d: %s", status, body)
	}
	if a.AddrTLS() != "" {
		t.Errorf("TLS at %s, without Options.HTTPS", a.AddrTLS())
	}
}

func TestStart_HTTPSRequiresAClientCertificate(t *testing.T) {
	server := httptest.NewTLSServer(nil) // it has a certificate for 127.0.0.1
	defer server.Close()
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := file("cert.pem", "CERTIFICATE", server.Certificate().Raw)
	a := consultest.StartWith(t, consuldev.Options{HTTPS: &consuldev.Certificates{CAFile: cert, CertFile: cert,
		KeyFile: file("key.pem", "PRIVATE KEY", key)}})
	_, err = server.Client().Get("https://" + a.AddrTLS() + "/v1/status/leader")
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("who has no certificate: %v", err)
	}
}

func TestStart_ManyAtOnce(t *testing.T) {
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			consultest.Start(t)
		})
	}
}

func TestStart_ReportsBadConfig(t *testing.T) {
	if _, err := consuldev.Start(t.Context(), consuldev.Options{Binary: "/nowhere/consul"}); err == nil ||
		!strings.Contains(err.Error(), "/nowhere/consul") {
		t.Errorf("missing binary: %v", err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	ends := filepath.Join(os.TempDir(), "consul")
	if err := os.WriteFile(ends, []byte("#!/bin/sh\necho no such flag >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := consuldev.Start(t.Context(), consuldev.Options{Binary: ends})
	if err == nil || !strings.Contains(err.Error(), "no such flag") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a binary that ends by itself: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := consuldev.Start(ctx, consuldev.Options{Binary: consultest.Binary(t)}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "upgrade-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStart_RetriesWithAnotherPort(t *testing.T) {
	binary := consultest.Binary(t)
	dir := t.TempDir()
	flaky := filepath.Join(dir, "consul")
	script := "#!/bin/sh\nif [ ! -e " + dir + "/tried ]; then touch " + dir +
		"/tried; echo bind: address already in use; exit 1; fi\nexec " + binary + ` "$@"` + "\n"
	if err := os.WriteFile(flaky, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	a, err := consuldev.Start(t.Context(), consuldev.Options{Binary: flaky})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
}
