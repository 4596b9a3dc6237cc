// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
	"github.com/jiocloud/upgrade-controller/controllers/backoff"
)

// SystemClock is the clock of the machine.
type SystemClock struct{}

// Now returns the current time.
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep waits for d or until the context ends.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	if err := backoff.Sleep(ctx, d); err != nil {
		return err
	}
	return ctx.Err() // both may have ended
}

// MemoryVersion is a VersionFile that forgets the version when the process ends. It is for simulated hosts.
type MemoryVersion struct{ version string }

// Version returns the last version that was set.
func (m *MemoryVersion) Version() (string, error) { return m.version, nil }

// SetVersion sets the version.
func (m *MemoryVersion) SetVersion(version string) error {
	m.version = version
	return nil
}

// File is the path of a VersionFile that has one line with the name of the version. A missing file means that the host has no
// version yet. An empty or damaged file is an error, so that it does not look like a first boot.
type File string

// maxVersionFile is more than the length of any version name.
const maxVersionFile = 4 << 10

// Version reads the file.
func (f File) Version() (string, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("version file: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxVersionFile))
	if err != nil {
		return "", fmt.Errorf("version file: %w", err)
	}
	version := strings.TrimSpace(string(data))
	if rule := names.Version(version); rule != "" {
		return "", fmt.Errorf("version file %s: %.40q is not a version: it %s (remove the file if the host has no version yet)",
			string(f), version, rule)
	}
	return version, nil
}

// SetVersion replaces the file atomically.
func (f File) SetVersion(version string) error {
	if err := atomicfile.Write(string(f), []byte(version+"\n"), 0o644); err != nil {
		return fmt.Errorf("version file: %w", err)
	}
	return nil
}
