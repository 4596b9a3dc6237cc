// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// descriptor is one of the OCI image specification, with the fields that the test needs.
type descriptor struct {
	Digest   string `json:"digest"`
	Platform struct {
		OS, Architecture string
	} `json:"platform"`
}

// TestImage builds the image for this machine's architecture, unpacks it, and runs it as its user, in a root that has nothing else.
func TestImage(t *testing.T) {
	testtool.NeedRoot(t, "changes the root and the user of a process")
	layout := t.TempDir()
	command(t, unknownVersion, "image.sh", layout, runtime.GOARCH)
	var index struct{ Manifests []descriptor }
	decode(t, filepath.Join(layout, "index.json"), &index)
	if len(index.Manifests) != 1 || index.Manifests[0].Platform.Architecture != runtime.GOARCH || index.Manifests[0].Platform.OS != "linux" {
		t.Fatalf("the index has %+v", index.Manifests)
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, blob(t, layout, index.Manifests[0]), &manifest)
	var config struct {
		Config struct {
			User       string
			Entrypoint []string
			Labels     map[string]string
		} `json:"config"`
	}
	decode(t, blob(t, layout, manifest.Config), &config)
	c := config.Config
	if c.User != "65532:65532" || len(c.Entrypoint) != 1 {
		t.Errorf("the configuration is %+v", c)
	}
	root := t.TempDir()
	for _, layer := range manifest.Layers {
		unpack(t, blob(t, layout, layer), root)
	}
	if got, want := c.Labels["org.opencontainers.image.version"], versionOf(t, root+"/usr/bin/upgradectl"); got != want {
		t.Errorf("the image has version %s, its program %s", got, want)
	}
	for _, program := range []string{"/usr/bin/upgradectl", c.Entrypoint[0]} {
		cmd := exec.CommandContext(t.Context(), program, "--help")
		cmd.Env, cmd.Dir = []string{}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Usage:") {
			t.Errorf("%s: %v\n%s", program, err, out)
		}
	}
	if roots := strings.Count(read(t, root+"/etc/ssl/certs/ca-certificates.crt"), "BEGIN CERTIFICATE"); roots < 100 {
		t.Errorf("the image has %d CA certificates", roots)
	}

	again := t.TempDir()
	command(t, unknownVersion, "image.sh", again, runtime.GOARCH)
	if read(t, filepath.Join(again, "index.json")) != read(t, filepath.Join(layout, "index.json")) {
		t.Error("two builds differ")
	}
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, file)), into); err != nil {
		t.Fatal(err)
	}
}

// blob returns the file of a descriptor, whose digest must be right.
func blob(t *testing.T, layout string, d descriptor) string {
	t.Helper()
	digest := strings.TrimPrefix(d.Digest, "sha256:")
	file := filepath.Join(layout, "blobs", "sha256", digest)
	if sum := sha256.Sum256([]byte(read(t, file))); hex.EncodeToString(sum[:]) != digest {
		t.Fatalf("%s has another digest", file)
	}
	return file
}

// unpack extracts a compressed layer.
func unpack(t *testing.T, file, root string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, header.Name)
		if header.Typeflag == tar.TypeDir {
			mkdir(t, path)
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, header.FileInfo().Mode()); err != nil {
			t.Fatal(err)
		}
	}
}
