// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package agent

import (
	"os/exec"
	"syscall"
)

// endWithAgent does nothing on systems without a parent death signal.
func endWithAgent(*syscall.SysProcAttr) {}

// dropPrivileges does nothing on systems without such a restriction.
func dropPrivileges() error { return nil }

// closeOnExec does nothing: what the agent inherits is left open.
func closeOnExec() error { return nil }

// awaitExit reaps the process. The result returns how it ended.
func awaitExit(cmd *exec.Cmd) (reap func() error) {
	err := cmd.Wait()
	return func() error { return err }
}
