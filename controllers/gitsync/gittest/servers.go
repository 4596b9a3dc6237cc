// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gittest

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// HTTPS serves git http-backend over TLS with token authentication.
type HTTPS struct {
	*httptest.Server
	// URL is that of the repository. CAFile has the certificate of the server, and TokenFile the accepted token.
	URL, CAFile, TokenFile string
}

// Token is the password that HTTPS servers accept for any user.
const Token = "s3cret-token"

// ServeHTTPS serves a repository over https until the test ends.
func ServeHTTPS(t testing.TB, r *Repository) *HTTPS {
	t.Helper()
	backend := &cgi.Handler{Path: filepath.Join(r.run("/", "--exec-path"), "git-http-backend"), Root: "/",
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(r.Bare), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=a",
			"GIT_CONFIG_GLOBAL=/dev/null"},
		Stderr: io.Discard}
	r.GitBare("config", "http.receivepack", "true")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if _, password, _ := request.BasicAuth(); password != Token {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	h := &HTTPS{Server: server, URL: server.URL + "/" + filepath.Base(r.Bare), CAFile: filepath.Join(dir, "ca.pem"),
		TokenFile: filepath.Join(dir, "token")}
	write(t, h.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	write(t, h.TokenFile, Token+"\n")
	return h
}

// SSH is an sshd on loopback.
type SSH struct {
	// URL is that of the repository. KeyFile has an authorized private key, and KnownHostsFile the key of the server.
	URL, KeyFile, KnownHostsFile string
	// Address is host:port.
	Address string
}

// ServeSSH serves a repository over ssh until the test ends.
func ServeSSH(t testing.TB, r *Repository) *SSH {
	t.Helper()
	sshd := findSSHD(t)
	dir := t.TempDir()
	s := &SSH{KeyFile: filepath.Join(dir, "key"), KnownHostsFile: filepath.Join(dir, "known_hosts"), Address: freeAddress(t)}
	hostKey := filepath.Join(dir, "host_key")
	host := MakeKey(t, hostKey)
	write(t, filepath.Join(dir, "authorized_keys"), MakeKey(t, s.KeyFile))
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	hostName, port, _ := net.SplitHostPort(s.Address)
	write(t, s.KnownHostsFile, fmt.Sprintf("[%s]:%s %s", hostName, port, host))
	config := filepath.Join(dir, "sshd_config")
	write(t, config, strings.Join([]string{"ListenAddress " + hostName, "Port " + port, "HostKey " + hostKey,
		"AuthorizedKeysFile " + filepath.Join(dir, "authorized_keys"), "PidFile none", "StrictModes no", "UsePAM no",
		"PasswordAuthentication no", "PermitRootLogin prohibit-password", "LogLevel ERROR", ""}, "\n"))
	if os.Getuid() == 0 { // sshd requires this folder
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(context.Background(), sshd, "-D", "-e", "-f", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	Eventually(t, "sshd listens", func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	s.URL = fmt.Sprintf("ssh://%s@%s%s", who.Username, s.Address, r.Bare)
	return s
}

// findSSHD returns the absolute path of sshd, which refuses to start with a relative one.
func findSSHD(t testing.TB) string {
	t.Helper()
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	testtool.Need(t, "sshd")
	path, _ := exec.LookPath("sshd")
	return path
}

// MakeKey writes a private key and returns the public one as a line of authorized_keys.
func MakeKey(t testing.TB, path string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(pem.EncodeToMemory(block)))
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(key))
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// Eventually waits up to 30 seconds for a condition.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for range 1200 {
		if condition() {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("timed out: %s", what)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
