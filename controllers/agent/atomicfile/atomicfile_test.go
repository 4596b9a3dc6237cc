// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package atomicfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
)

func TestWrite_ReplacesTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"one", "", strings.Repeat("two", 1<<16)} {
		if err := atomicfile.Write(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("holds %d bytes, want %d (%v)", len(got), len(content), err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if err := atomicfile.Write(filepath.Join(dir, "none", "file"), nil, 0o600); err == nil {
		t.Error("no error for a missing directory")
	}
	if err := atomicfile.Write(dir, nil, 0o600); err == nil {
		t.Error("no error for a directory")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("other files: %v %v", entries, err)
	}
}

func TestState_LoadReturnsLastSave(t *testing.T) {
	type thing struct{ Name string }
	s := atomicfile.State[thing](filepath.Join(t.TempDir(), "state"))
	if _, ok, err := s.Load(); ok || err != nil {
		t.Errorf("no file: %v %v", ok, err)
	}
	for _, name := range []string{"one", "two"} {
		if err := s.Save(thing{name}); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := s.Load(); !ok || err != nil || got.Name != name {
			t.Errorf("%+v %v %v", got, ok, err)
		}
	}
	if err := os.WriteFile(string(s), []byte(`{"Name": "tor`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := s.Load(); ok || err == nil || !strings.Contains(err.Error(), string(s)) || got.Name != "" {
		t.Errorf("damaged: %+v %v %v", got, ok, err)
	}
	for range 2 {
		if err := s.Clear(); err != nil {
			t.Error(err)
		}
	}
	if _, ok, err := s.Load(); ok || err != nil {
		t.Errorf("cleared: %v %v", ok, err)
	}
}
