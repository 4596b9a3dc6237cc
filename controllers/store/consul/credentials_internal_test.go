// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/jiocloud/upgrade-controller/hack/testca"
)

// TestCredentials_FollowFilesReplacedDuringARead renames a new CA over the old one many times while the files are read constantly.
func TestCredentials_FollowFilesReplacedDuringARead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, next := filepath.Join(dir, "ca"), filepath.Join(dir, "next")
	authorities := []*testca.Authority{testca.New(t, "first"), testca.New(t, "second")}
	replace := func(a *testca.Authority) {
		if err := os.WriteFile(next, a.PEM, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	replace(authorities[0])
	s, err := New(Config{Address: "https://127.0.0.1:1", CAFile: file})
	if err != nil {
		t.Fatal(err)
	}
	c := s.credentials
	reads, stuck := 0, 0
	for i := range 50 {
		var replaced atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !replaced.Load() {
				c.reread()
				reads++
			}
		}()
		current := authorities[(i+1)%2]
		replace(current)
		replaced.Store(true)
		<-done
		c.reread()
		if !c.current.transport.TLSClientConfig.RootCAs.Equal(current.Pool()) {
			stuck++
		}
	}
	if stuck > 0 {
		t.Errorf("%d of 50 replaced certificates are not used after %d reads", stuck, reads)
	}
}
