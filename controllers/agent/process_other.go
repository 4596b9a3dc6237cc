// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package agent

import "syscall"

// endWithAgent does nothing on systems without a parent death signal.
func endWithAgent(*syscall.SysProcAttr) {}
