// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package agent

import "syscall"

// endWithAgent does nothing where the system cannot do it: whoever kills an agent ends its step as well.
func endWithAgent(*syscall.SysProcAttr) {}
