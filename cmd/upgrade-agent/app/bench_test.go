// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// The limits of what an agent may use on its host.
const (
	maxBinary = 15 << 20 // bytes, stripped
	maxRSS    = 30 << 10 // KiB
)

// counter is a proxy in front of Consul that counts requests and bytes.
type counter struct {
	*httptest.Server
	requests, bytes atomic.Int64
	arrived         chan struct{} // holds a value after a request
}

// await waits until n requests have arrived.
func (c *counter) await(n int64) {
	for c.requests.Load() < n {
		<-c.arrived
	}
}

func newCounter(b *testing.B, addr string) *counter {
	c := &counter{arrived: make(chan struct{}, 1)}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: addr}) },
		ModifyResponse: func(r *http.Response) error {
			data, err := io.ReadAll(r.Body)
			c.bytes.Add(int64(len(data)))
			r.Body = io.NopCloser(bytes.NewReader(data))
			return err
		}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		select {
		case c.arrived <- struct{}{}:
		default: // one is enough: await reads the count
		}
		proxy.ServeHTTP(w, r)
	}))
	b.Cleanup(c.Close)
	return c
}

// BenchmarkLook measures one pass of an idle agent by its requests, and the memory and size of its process. The binary is
// built as by make build.
func BenchmarkLook(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "upgrade-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/jiocloud/upgrade-controller/cmd/upgrade-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	c := newCounter(b, consultest.StartWith(b, consuldev.Options{Server: true}).Addr())
	version := filepath.Join(b.TempDir(), "current_version")
	if err := os.WriteFile(version, []byte("v1\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--hostname", "web1", "--version-file", version, "--http-addr", c.Listener.Addr().String(),
		"--interval", "1ms", "--jitter", "0s")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	c.await(10) // after its first report
	from, bytesFrom, passes := c.requests.Load(), c.bytes.Load(), int64(0)
	for b.Loop() {
		passes++
		c.await(from + passes)
	}
	rss := resident(b, cmd.Process.Pid)
	b.ReportMetric(float64(c.bytes.Load()-bytesFrom)/float64(c.requests.Load()-from), "bytes/request")
	b.ReportMetric(float64(rss), "KiB-RSS")
	b.ReportMetric(float64(info.Size()), "bytes-binary")
	if rss > maxRSS || info.Size() > maxBinary {
		b.Errorf("%d KiB resident, at most %d; a binary of %d bytes, at most %d", rss, maxRSS, info.Size(), maxBinary)
	}
}

// resident returns the resident memory of a process in KiB.
func resident(b *testing.B, pid int) (kib int) {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("needs /proc")
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				b.Fatal(err)
			}
		}
	}
	return kib
}
