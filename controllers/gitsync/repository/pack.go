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

// deltaBases bounds what is kept of objects that others are differences to.
const deltaBases = 8 * cache.MiByte

// pack is a packfile that was fetched. Its file has no name any more: it goes with the process, however that ends.
type pack struct {
	file *os.File
	*packfile.Packfile
}

func (p *pack) object(hash plumbing.Hash) (plumbing.EncodedObject, error) { return p.Get(hash) }

func (p *pack) Close() error { return p.file.Close() }

// nameless is a file as billy has it.
type nameless struct{ *os.File }

func (nameless) Lock() error   { return nil }
func (nameless) Unlock() error { return nil }

// receive takes a packfile in, if it keeps to the limits.
func receive(r io.Reader, limits Limits) (*pack, error) {
	file, err := os.CreateTemp("", "upgrade-controller-pack-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	p, err := index(file, r, limits)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return p, nil
}

func index(file *os.File, r io.Reader, limits Limits) (*pack, error) {
	if _, err := io.Copy(file, &bounded{r: r, left: limits.Pack, what: "the repository"}); err != nil {
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
	return &pack{file, packfile.NewPackfileWithCache(found, nil, nameless{file}, cache.NewObjectLRU(deltaBases), 0)}, nil
}

// checkPack goes through the packfile once and takes no object into memory: what follows reads each one as a whole.
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
		return fail(Refused, "the repository has %d objects: at most %d are read", count, limits.Objects)
	}
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return err
		}
		size, beginning := header.Length, &beginning{}
		if _, _, err := scanner.NextObject(beginning); err != nil {
			return err
		}
		if header.Type.IsDelta() {
			size = max(size, beginning.target())
		}
		if size > limits.Object {
			return fail(Refused, "the repository holds a file or folder of %d bytes: at most %d are read "+
				"(a server that allows filters, uploadpack.allowFilter, leaves large files out)", size, limits.Object)
		}
	}
	return nil
}

// beginning keeps the first bytes that are written to it.
type beginning struct {
	bytes [20]byte // two numbers of ten bytes at most
	n     int
}

func (b *beginning) Write(p []byte) (int, error) {
	b.n += copy(b.bytes[b.n:], p)
	return len(p), nil
}

// target is how large an object is that is a difference to another: the second number of the difference.
func (b *beginning) target() int64 {
	const most = 1 << 62
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
	return int64(min(numbers[1], most))
}

// bounded reads no more than what is left.
type bounded struct {
	r    io.Reader
	left int64
	what string
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, fail(Refused, "%s sends more bytes than are read", b.what)
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n, fail(Refused, "%s sends more bytes than are read", b.what)
	}
	return n, err
}

// content reads an object as a whole.
func content(o plumbing.EncodedObject, most int64) ([]byte, error) {
	if o.Size() > most {
		return nil, fmt.Errorf("is %d bytes, more than the %d that are read", o.Size(), most)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it was only read
	return io.ReadAll(r)
}
