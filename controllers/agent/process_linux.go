// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import "syscall"

// endWithAgent lets a program end with an agent that is killed: the next one runs the step again, and two at once are one
// too many.
func endWithAgent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
