// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is that of distroless images: it owns no file in the image.
const user = 65532

// programs are in /usr/bin of the image. The first one is the entry point.
var programs = []string{"upgrade-controller", "upgradectl"} //nolint:gochecknoglobals // a constant list

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: VERSION=… SOURCE_DATE_EPOCH=… image BINARIES LAYOUT ARCHITECTURE…")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(binaries, folder string, architectures []string) error {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH must be a number of seconds: %w", err)
	}
	return write(binaries, folder, architectures, build{version: os.Getenv("VERSION"), created: time.Unix(seconds, 0).UTC()})
}

// build is what all images of a build have in common.
type build struct {
	version string
	created time.Time
}

// write writes a layout with an image for each architecture. The binaries are in a folder for each.
func write(binaries, folder string, architectures []string, b build) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range architectures {
		image, err := b.image(filepath.Join(binaries, arch), arch)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	_, err := layout.Write(folder, index)
	return err
}

// image returns the image for an architecture: one layer, from scratch.
func (b build) image(binaries, arch string) (v1.Image, error) {
	files, err := b.files(binaries)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{Layer: layer,
		History: v1.History{Created: v1.Time{Time: b.created}, CreatedBy: "hack/image.sh"}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: b.created}
	config.Config = v1.Config{
		User: fmt.Sprintf("%d:%d", user, user), Entrypoint: []string{"/usr/bin/" + programs[0]}, WorkingDir: "/",
		Env: []string{"PATH=/usr/bin"},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "upgrade-controller",
			"org.opencontainers.image.source":   "https://github.com/jiocloud/upgrade-controller",
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.version":  b.version,
		}}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.ConfigMediaType(image, types.OCIConfigJSON), nil
}

// files returns the layer as a tar archive: the programs, a user, the CA certificates of Mozilla, and an empty /tmp.
func (b build) files(binaries string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	entries := []entry{
		{"etc/", 0o755, nil}, {"etc/ssl/", 0o755, nil}, {"etc/ssl/certs/", 0o755, nil}, {"tmp/", 0o1777, nil},
		{"usr/", 0o755, nil}, {"usr/bin/", 0o755, nil},
		{"etc/passwd", 0o644, fmt.Appendf(nil, "nonroot:x:%d:%d:nonroot:/:/sbin/nologin\n", user, user)},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, certificates()},
	}
	for _, program := range programs {
		data, err := os.ReadFile(filepath.Join(binaries, program))
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{path.Join("usr/bin", program), 0o755, data})
	}
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.data)), ModTime: b.created, Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// entry is a file of the image, or a directory if its name ends in a slash.
type entry struct {
	name string
	mode int64
	data []byte
}

// certificates returns the CA certificates of Mozilla, PEM.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer returns no error
	}
	return out.Bytes()
}
