// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
)

// lockFile takes the lock of the one agent of a host, which ends with the process. It does not wait. The lock is in a directory of
// its own that no other user can enter: any user who can open a file can lock it.
func lockFile(owners trust.Owners, directory string) (*os.File, error) {
	if err := os.Mkdir(directory, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lock: %w", err)
	}
	path := filepath.Join(directory, "lock")
	err := owners.CheckPrivate(directory, fs.ModeDir)
	if err == nil {
		err = owners.CheckPrivate(path, 0)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("lock: %w; fix it with: rm -r %s", err, directory)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("another upgrade-agent is running on this host: it holds the lock %s", path)
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}
