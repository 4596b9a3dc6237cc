// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGoFiles_BeginWithTheLicense(t *testing.T) {
	want, err := os.ReadFile("boilerplate.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if hidden := strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2; hidden || entry.Name() == "bin" {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		data, err := os.ReadFile(path)
		files++
		if err == nil && !bytes.HasPrefix(data, bytes.TrimSpace(want)) && !generated(data) {
			t.Errorf("%s does not begin with the text of hack/boilerplate.go.txt", path)
		}
		return err
	})
	if err != nil || files < 10 {
		t.Errorf("%d files were read: %v", files, err)
	}
}

func generated(data []byte) bool {
	return bytes.Contains(data[:min(len(data), 512)], []byte("\n// Code generated "))
}
