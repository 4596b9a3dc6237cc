// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// A read of the repository never ends: opening a named pipe waits for a writer, and no context ends that.
func TestRunner_ReturnsAlthoughAReadIsStuck(t *testing.T) {
	f := newFixture(t)
	f.git.Commit("fleet.yaml", plan("fleet", "v1", ""))
	f.source.Timeout = "1s"
	pipe := filepath.Join(f.git.Bare, "refs", "heads", "main")
	f.must(os.Remove(pipe))
	f.must(syscall.Mkfifo(pipe, 0o600))
	defer f.eventually("the reads have ended", func() bool {
		if file, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil { // a writer, which comes and goes
			f.must(file.Close())
		}
		return f.runner.Healthy() == nil
	})
	f.start()
	if err := f.runner.Healthy(); err != nil {
		t.Errorf("at once: %v", err)
	}
	f.wantFailed("another sync", string(repository.Unreachable), "an earlier read of the repository has not ended", "")
	start := time.Now()
	f.must(f.stop())
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s to end", took)
	}
	f.ahead.Store(int64(time.Hour))
	if err := f.runner.Healthy(); err == nil || !strings.Contains(err.Error(), "read of source default must have ended at") {
		t.Errorf("after an hour: %v", err)
	}
}
