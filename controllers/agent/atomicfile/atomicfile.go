// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package atomicfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxState is the most that Load reads of a file.
const maxState = 1 << 20

// Write replaces the file atomically. When it returns without an error, the content is on disk.
func Write(path string, content []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = temp.Close(), os.Remove(temp.Name())
		}
	}()
	if _, err := temp.Write(content); err != nil {
		return err
	}
	if err := temp.Chmod(mode); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return errors.Join(temp.Close(), syncDir(dir))
}

// Remove removes the file. A missing file is not an error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir writes a rename or a removal to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// State is a file that holds one value as JSON.
type State[T any] string

// Load reads the value. ok is false when there is no file. A file with other content is an error.
func (s State[T]) Load() (value T, ok bool, err error) {
	file, err := os.Open(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return value, false, nil
	}
	if err != nil {
		return value, false, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxState))
	if err != nil {
		return value, false, err
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return *new(T), false, fmt.Errorf("decode %s: %w", string(s), err)
	}
	return value, true, nil
}

// Save replaces the value.
func (s State[T]) Save(value T) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return Write(string(s), append(data, '\n'), 0o600)
}

// Clear removes the value.
func (s State[T]) Clear() error { return Remove(string(s)) }
