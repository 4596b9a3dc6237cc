// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// deltaBases limits the cache of delta bases, in bytes.
const deltaBases = 8 * cache.MiByte

// pack is a packfile in an unlinked file, which disappears with the process.
type pack struct {
	file *os.File
	*packfile.Packfile
}

func (p *pack) object(hash plumbing.Hash) (plumbing.EncodedObject, error) { return p.Get(hash) }

func (p *pack) Close() error { return p.file.Close() }

// unlinkedFile adapts a file to billy.File.
type unlinkedFile struct{ *os.File }

func (unlinkedFile) Lock() error   { return nil }
func (unlinkedFile) Unlock() error { return nil }

// storePack writes a packfile to a temporary file and indexes it. It fails if a limit is exceeded.
func storePack(r io.Reader, limits Limits) (*pack, error) {
	file, err := os.CreateTemp("", "upgrade-controller-pack-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	p, err := indexPack(file, r, limits)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return p, nil
}

func indexPack(file *os.File, r io.Reader, limits Limits) (*pack, error) {
	if _, err := io.Copy(file, &limitedReader{r: r, left: limits.Pack, what: "the repository"}); err != nil {
		return nil, err
	}
	if err := checkPack(file, limits); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	writer := &idxfile.Writer{}
	parser, err := packfile.NewParser(packfile.NewScanner(file), writer)
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(); err != nil {
		return nil, err
	}
	found, err := writer.Index()
	if err != nil {
		return nil, err
	}
	return &pack{file, packfile.NewPackfileWithCache(found, nil, unlinkedFile{file}, cache.NewObjectLRU(deltaBases), 0)}, nil
}

// checkPack checks the number and sizes of the objects without loading them. The parser, which runs after it, loads whole
// objects into memory.
func checkPack(file *os.File, limits Limits) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	scanner := packfile.NewScanner(file)
	_, count, err := scanner.Header()
	if err != nil {
		return err
	}
	if int64(count) > int64(limits.Objects) {
		return fail(Refused, "the repository has %d objects; at most %d are allowed", count, limits.Objects)
	}
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return err
		}
		size, start := header.Length, &deltaHeader{}
		if _, _, err := scanner.NextObject(start); err != nil {
			return err
		}
		if header.Type.IsDelta() {
			size = max(size, start.targetSize())
		}
		if size > limits.Object {
			return fail(Refused, "the repository contains a file or folder of %d bytes; at most %d are allowed "+
				"(set uploadpack.allowFilter on the server to skip large files)", size, limits.Object)
		}
	}
	return nil
}

// deltaHeader keeps the first bytes of a delta.
type deltaHeader struct {
	bytes [20]byte // two varints of at most ten bytes
	n     int
}

func (b *deltaHeader) Write(p []byte) (int, error) {
	b.n += copy(b.bytes[b.n:], p)
	return len(p), nil
}

// targetSize returns the size of the object that the delta produces: the second varint.
func (b *deltaHeader) targetSize() int64 {
	const limit = 1 << 62
	var numbers [2]uint64
	at := 0
	for i := range numbers {
		for shift := 0; at < b.n; shift += 7 {
			c := b.bytes[at]
			at++
			numbers[i] |= uint64(c&0x7f) << shift
			if c&0x80 == 0 {
				break
			}
		}
	}
	return int64(min(numbers[1], limit))
}

// limitedReader fails after left bytes. Unlike io.LimitedReader it returns an error, not io.EOF.
type limitedReader struct {
	r    io.Reader
	left int64
	what string
}

func (b *limitedReader) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, fail(Refused, "%s sent too many bytes", b.what)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, fail(Refused, "%s sent too many bytes", b.what)
	}
	return n, err
}

// readObject returns the content of an object, or an error if it is larger than limit bytes.
func readObject(o plumbing.EncodedObject, limit int64) ([]byte, error) {
	if o.Size() > limit {
		return nil, fmt.Errorf("%d bytes is too large; at most %d are allowed", o.Size(), limit)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // read only
	return io.ReadAll(r)
}
