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

	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// SystemClock is the time of the machine.
type SystemClock struct{}

// Now is time.Now.
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep waits for d or for the end of the context.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ctx.Err()
	}
}

// File is a VersionFile at a path: one line with the name of the version. A file that is missing says that there is no
// version yet; one that is empty or holds anything else is an error, lest damage look like a first boot.
type File string

// Memory is a VersionFile that is none: for hosts that are only played.
type Memory struct{ version string }

// Version is what was set last.
func (m *Memory) Version() (string, error) { return m.version, nil }

// SetVersion keeps it.
func (m *Memory) SetVersion(version string) error {
	m.version = version
	return nil
}

// maxVersionFile is more than any version name is long.
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
	if wrong := keys.ValidVersion(version); wrong != "" {
		return "", fmt.Errorf("version file %s: %.40q is no version: it %s (remove the file if the host has none yet)",
			string(f), version, wrong)
	}
	return version, nil
}

// SetVersion replaces the file in one step.
func (f File) SetVersion(version string) error {
	if err := atomicfile.Write(string(f), []byte(version+"\n"), 0o644); err != nil {
		return fmt.Errorf("version file: %w", err)
	}
	return nil
}
