// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
)

// lockFile takes the lock of the one agent of a host, which ends with the process. It does not wait. The directory must be one that
// no untrusted user can change. Any user who can open a file can lock it, so no other user may open it: earlier releases created the
// same file with mode 0644.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock, which must be a regular file: %w", err)
	}
	if err = (trust.Owners{}).CheckOpened(f); err == nil {
		err = f.Chmod(0o600)
	}
	if err == nil {
		err = os.NewSyscallError("flock "+path, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("another upgrade-agent is running on this host: it holds the lock %s", path)
	}
	return nil, fmt.Errorf("lock: %w", err)
}
