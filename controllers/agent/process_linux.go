// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import "syscall"

// endWithAgent stops a program when its agent is killed. The next agent runs the step again, and two must not run at once.
func endWithAgent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
