// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

func TestDemo_KeepsTheRules(t *testing.T) {
	t.Parallel()
	var out, talk bytes.Buffer
	o := app.Options{Out: &out, Err: &talk, Now: time.Now}
	if code := app.Main(t.Context(), []string{"demo"}, o); code != 0 {
		t.Fatalf("exit code %d\n%s", code, talk.String())
	}
	for _, want := range []string{"All 40 hosts reached 2026.11", "0 controllers were left at the first start"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing from\n%s", want, out.String())
		}
	}
	if !strings.Contains(talk.String(), "fleet: Complete: 40 of 40 hosts upgraded") {
		t.Errorf("no progress was shown:\n%s", talk.String())
	}
}

func TestDemo_EndsOnInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out, talk bytes.Buffer
	if code := app.Main(ctx, []string{"demo"}, app.Options{Out: &out, Err: &talk, Now: time.Now}); code != 1 {
		t.Errorf("exit code %d\n%s", code, talk.String())
	}
}

func TestDemo_LeavesNoProcessesOrFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../../upgradectl", "../../upgrade-agent")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	temp := t.TempDir()
	demo := exec.CommandContext(t.Context(), filepath.Join(dir, "upgradectl"), "demo", "--consul")
	demo.Env = append(os.Environ(), "UPGRADE_TEST_CONSUL="+consultest.Binary(t), "TMPDIR="+temp)
	out, err := demo.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "All 40 hosts reached 2026.11") {
		t.Fatalf("%v\n%s", err, out)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v %v", left, err)
	}
	// The command line of each process of the demo contains dir or temp.
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		line, _ := os.ReadFile(file) // it may have ended
		if bytes.Contains(line, []byte(dir+"/upgrade")) || bytes.Contains(line, []byte(temp)) {
			t.Errorf("a process is left: %s", bytes.ReplaceAll(line, []byte{0}, []byte(" ")))
		}
	}
}
