// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package testtool

import (
	"os"
	"os/exec"
	"testing"
)

// toolsEnv is the variable in which `make test` passes the tools that it found. Its value is never used: go test runs a test
// again, instead of using its cached result, when a variable that it has read changes.
const toolsEnv = "UPGRADE_TEST_TOOLS"

// Need skips the test if a program is missing.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if !Found(name) {
			Skip(t, name)
		}
	}
}

// NeedRoot skips the test if it does not run as root. The reason says what it wants to do, such as "installs packages".
func NeedRoot(t testing.TB, reason string) {
	t.Helper()
	if _ = os.Getenv(toolsEnv); os.Getuid() != 0 {
		skip(t, "needs root: "+reason)
	}
}

// NeedCondition skips the test if something about the machine or the checkout does not hold that make deps does not change. The
// condition is a noun, such as "a file system with access lists".
func NeedCondition(t testing.TB, holds bool, condition string) {
	t.Helper()
	if !holds {
		skip(t, "needs "+condition)
	}
}

// Skip skips the test because something that make deps installs is missing.
func Skip(t testing.TB, missing string) {
	t.Helper()
	skip(t, "needs "+missing+": run `make deps` as root on Debian")
}

func skip(t testing.TB, message string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// Found reports whether a program, by its name or path, is installed.
func Found(program string) bool {
	_ = os.Getenv(toolsEnv)
	_, err := exec.LookPath(program)
	return err == nil
}

// FileFound reports whether a file that is no program is installed.
func FileFound(path string) bool {
	_ = os.Getenv(toolsEnv)
	_, err := os.Stat(path)
	return err == nil
}
