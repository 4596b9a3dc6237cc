// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consultest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
)

// Start runs a Consul in dev mode until the test ends. Without a binary the test fails.
func Start(t testing.TB) *consuldev.Agent { return StartWith(t, consuldev.Options{}) }

// StartWith is Start with options.
func StartWith(t testing.TB, o consuldev.Options) *consuldev.Agent {
	t.Helper()
	if o.Binary == "" {
		o.Binary = Binary(t)
	}
	a, err := consuldev.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// Binary is the Consul that tests run: that of devagent.Find, else bin/consul of the module. Without one the test fails.
func Binary(t testing.TB) string {
	t.Helper()
	if path, err := consuldev.Find(""); err == nil {
		return path
	}
	if path, err := consuldev.Find(filepath.Join(moduleRoot(t), "bin", "consul")); err == nil {
		return path
	}
	t.Fatal("needs Consul: run `make consul`, or set " + consuldev.BinaryEnv)
	return ""
}

// moduleRoot is the folder with go.mod at or above the working folder.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working folder")
		}
		dir = parent
	}
}
