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
	"strconv"
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
	// Lie rewrites the list of references, if it is set. Its lines are HASH NAME; the first also has NUL and the capabilities.
	Lie func(lines []string) []string
	// Before runs before each request is answered, if it is set.
	Before func(request *http.Request)
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
	h := &HTTPS{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if _, password, _ := request.BasicAuth(); password != Token {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if h.Before != nil {
			h.Before(request)
		}
		if h.Lie == nil || !strings.HasSuffix(request.URL.Path, "/info/refs") {
			backend.ServeHTTP(w, request)
			return
		}
		honest := httptest.NewRecorder()
		backend.ServeHTTP(honest, request)
		w.Header().Set("Content-Type", honest.Header().Get("Content-Type"))
		_, _ = io.WriteString(w, advertisement(h.Lie(references(honest.Body.String()))))
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	h.Server, h.URL = server, server.URL+"/"+filepath.Base(r.Bare)
	h.CAFile, h.TokenFile = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	write(t, h.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	write(t, h.TokenFile, Token+"\n")
	return h
}

// service is the first line of a list of references over https. A flush, which is not in the lines, follows it.
const service = "# service=git-upload-pack\n"

// references splits a list of references into its lines.
func references(body string) []string {
	var lines []string
	for len(body) >= 4 {
		n, err := strconv.ParseUint(body[:4], 16, 16)
		if err != nil || int(n) > len(body) {
			break
		}
		n = max(n, 4) // a flush
		if line := body[4:n]; line != "" && line != service {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
		body = body[n:]
	}
	return lines
}

// advertisement joins lines to a list of references.
func advertisement(lines []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%04x%s0000", len(service)+4, service)
	for _, line := range lines {
		fmt.Fprintf(&b, "%04x%s\n", len(line)+5, line)
	}
	return b.String() + "0000"
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
