// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// TestReadFile_ChecksEachRead opens files to other users after they were read. A token is refused then, a certificate is not.
func TestReadFile_ChecksEachRead(t *testing.T) {
	dir := t.TempDir()
	token, jwt, ca := filepath.Join(dir, "token"), filepath.Join(dir, "jwt"), filepath.Join(dir, "ca")
	for _, path := range []string{token, jwt, ca} {
		if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	log, err := (&flags.Log{Format: "json"}).Logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	o := &runOptions{consul: consul.Config{TokenFile: token, CAFile: ca, Login: consul.Login{AuthMethod: "m", BearerTokenFile: jwt}}}
	read := o.readFile(trust.Owners{}, log)
	for _, path := range []string{token, jwt, ca} {
		if data, err := read(path); err != nil || string(data) != "text" {
			t.Fatalf("%s: %q, %v", path, data, err)
		}
	}
	for _, path := range []string{token, jwt, ca} {
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		for _, path := range []string{token, jwt} {
			_, err := read(path)
			if refused, ok := errors.AsType[*trust.Error](err); !ok || refused.Path != path {
				t.Errorf("%s: %v", path, err)
			}
		}
		if data, err := read(ca); err != nil || string(data) != "text" {
			t.Errorf("%s: %q, %v", ca, data, err)
		}
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 3 {
		t.Errorf("want each problem once:\n%s", out.String())
	}
}
