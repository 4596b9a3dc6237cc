// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const (
	// deltaBases limits the cache of delta bases, in bytes.
	deltaBases = 64 * cache.MiByte
	// stepCost is what one delta costs of the budget, in bytes, beside its size.
	stepCost = 1 << 10
	// workFactor is how often all objects may be inflated, because a base that has left the cache is inflated again.
	workFactor = 4
)

// budget limits the bytes that are inflated and copied.
type budget struct{ left, total int64 }

func newBudget(total int64) *budget { return &budget{total, total} }

func (b *budget) spend(n int64) error {
	if b.left -= n; b.left < 0 {
		return fail(Refused, "the objects of the repository inflate to more than %d bytes", b.total)
	}
	return nil
}

// endingFile is a file whose reads end with a context.
type endingFile struct {
	*os.File
	ctx context.Context //nolint:containedctx // it changes with each call that reads
}

func (f *endingFile) Read(p []byte) (int, error) {
	if f.ctx.Err() != nil {
		return 0, context.Cause(f.ctx)
	}
	return f.File.Read(p)
}

// packReader reads the objects of a packfile by offset. Each call ends with its context.
type packReader struct {
	file    *endingFile
	scanner *packfile.Scanner
	limits  Limits
	work    *budget
	// find returns the offset of the object with that hash.
	find  func(plumbing.Hash) (int64, error)
	bases *cache.BufferLRU
	// kinds are the types of the objects in bases, and of others.
	kinds map[int64]plumbing.ObjectType
}

func newPackReader(file *os.File, limits Limits, work *budget) *packReader {
	f := &endingFile{file, context.Background()}
	return &packReader{file: f, scanner: packfile.NewScanner(f), limits: limits, work: work, bases: cache.NewBufferLRU(deltaBases),
		kinds: map[int64]plumbing.ObjectType{}}
}

// at returns the object at an offset.
func (p *packReader) at(ctx context.Context, offset int64) (plumbing.ObjectType, []byte, error) {
	p.file.ctx = ctx
	kind, data, deltas, err := p.base(ctx, offset)
	if err != nil {
		return kind, nil, err
	}
	for _, at := range slices.Backward(deltas) {
		if data, err = p.patched(data, at); err != nil {
			return kind, nil, err
		}
		p.keep(at, kind, data)
	}
	return kind, data, nil
}

// base returns the nearest object that is not a delta or is in the cache, and the offsets of the deltas to it, nearest last.
func (p *packReader) base(ctx context.Context, at int64) (kind plumbing.ObjectType, data []byte, deltas []int64, err error) {
	for {
		if ctx.Err() != nil {
			return kind, nil, nil, context.Cause(ctx)
		}
		if cached, ok := p.bases.Get(at); ok {
			return p.kinds[at], cached, deltas, nil
		}
		h, err := p.header(at)
		if err != nil {
			return kind, nil, nil, err
		}
		switch h.Type {
		case plumbing.OFSDeltaObject:
			deltas, at = append(deltas, at), h.OffsetReference
		case plumbing.REFDeltaObject:
			deltas = append(deltas, at)
			if at, err = p.find(h.Reference); err != nil {
				return kind, nil, nil, err
			}
		default:
			data, err := p.inflate(h)
			if err == nil {
				p.keep(at, h.Type, data)
			}
			return h.Type, data, deltas, err
		}
	}
}

func (p *packReader) keep(at int64, kind plumbing.ObjectType, data []byte) {
	p.kinds[at] = kind
	p.bases.Put(at, data)
}

// header returns the header at an offset. The content of the object is next.
func (p *packReader) header(at int64) (*packfile.ObjectHeader, error) {
	if err := p.work.spend(stepCost); err != nil {
		return nil, err
	}
	h, err := p.scanner.SeekObjectHeader(at)
	if err != nil {
		return nil, err
	}
	return h, checkSize(h, p.limits)
}

// checkSize returns an error if an object, or a delta, is too large, or has an unknown type.
func checkSize(h *packfile.ObjectHeader, limits Limits) error {
	switch {
	case !h.Type.Valid() || h.Type == plumbing.AnyObject:
		return fail(Refused, "the repository has an object of the unknown type %d", h.Type)
	case h.Length < 0 || h.Length > limits.Object:
		return tooLarge(h.Length, limits)
	}
	return nil
}

func tooLarge(size int64, limits Limits) error {
	return fail(Refused, "the repository contains a file or folder of %d bytes; at most %d are allowed "+
		"(set uploadpack.allowFilter on the server to skip large files)", size, limits.Object)
}

// inflate returns the content of the object whose header was read last.
func (p *packReader) inflate(h *packfile.ObjectHeader) ([]byte, error) {
	if err := p.work.spend(h.Length); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	n, _, err := p.scanner.NextObject(&b)
	if err == nil && n != h.Length {
		err = packfile.ErrMalformedPackFile
	}
	return b.Bytes(), err
}

// patched returns the object that the delta at an offset makes of its base.
func (p *packReader) patched(base []byte, at int64) ([]byte, error) {
	h, err := p.header(at)
	if err != nil {
		return nil, err
	}
	delta, err := p.inflate(h)
	if err != nil {
		return nil, err
	}
	start := &deltaHeader{}
	_, _ = start.Write(delta) // it returns no error
	target := start.targetSize()
	if target > p.limits.Object {
		return nil, tooLarge(target, p.limits)
	}
	if err := p.work.spend(target); err != nil {
		return nil, err
	}
	return packfile.PatchDelta(base, delta)
}

// pack is a packfile without an index, in an unlinked file, which disappears with the process. A delta is resolved when an
// object is asked for that is not found yet, so most of a large packfile costs one pass.
type pack struct {
	*packReader
	of      contents
	offsets map[plumbing.Hash]int64
	// ready are deltas with a known base. The others wait for an offset or for a hash.
	ready         []int64
	waiting       map[int64][]int64
	waitingByHash map[plumbing.Hash][]int64
}

// contents selects the objects of a packfile that may be read. Limits.Object does not limit the others.
type contents int

const (
	allObjects contents = iota
	commitsOnly
)

func (c contents) have(kind plumbing.ObjectType) bool {
	return c == allObjects || kind == plumbing.CommitObject
}

// storePack writes a packfile to a temporary file and scans it. It fails if a limit is exceeded.
func storePack(ctx context.Context, r io.Reader, limits Limits, of contents) (*pack, error) {
	file, err := os.CreateTemp("", "upgrade-controller-pack-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	p := &pack{packReader: newPackReader(file, limits, newBudget(workFactor*limits.Inflated)), of: of, offsets: map[plumbing.Hash]int64{},
		waiting: map[int64][]int64{}, waitingByHash: map[plumbing.Hash][]int64{}}
	p.find = func(hash plumbing.Hash) (int64, error) { return p.offset(p.file.ctx, hash) }
	if err := p.load(ctx, r); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return p, nil
}

func (p *pack) load(ctx context.Context, r io.Reader) error {
	p.file.ctx = ctx
	if _, err := io.Copy(p.file.File, &limitedReader{ctx: ctx, r: r, left: p.limits.Pack, what: "the repository"}); err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.scanner.Reset(p.file)
	return p.scan()
}

// scan reads the packfile once. It hashes the objects that are not deltas, and checks the number of objects and the size of
// all, before any delta is resolved.
func (p *pack) scan() error {
	_, count, err := p.scanner.Header()
	if err != nil {
		return err
	}
	if int64(count) > int64(p.limits.Objects) {
		return fail(Refused, "the repository has %d objects; at most %d are allowed", count, p.limits.Objects)
	}
	inflated := newBudget(p.limits.Inflated)
	for range count {
		h, err := p.scanner.NextObjectHeader()
		if err != nil {
			return err
		}
		limits := p.limits
		if !p.of.have(h.Type) {
			limits.Object = math.MaxInt64
		}
		if err := checkSize(h, limits); err != nil {
			return err
		}
		if err := inflated.spend(h.Length); err != nil {
			return err
		}
		if err := p.scanObject(h, inflated); err != nil {
			return err
		}
	}
	for hash, offset := range p.offsets {
		p.wake(hash, offset)
	}
	return nil
}

// scanObject hashes an object that may be read, or notes what a delta waits for.
func (p *pack) scanObject(h *packfile.ObjectHeader, inflated *budget) error {
	hasher, start := plumbing.NewHasher(h.Type, h.Length), &deltaHeader{}
	into := io.Writer(hasher)
	switch {
	case h.Type.IsDelta():
		into = start
	case !p.of.have(h.Type):
		into = io.Discard
	}
	offset := h.Offset
	n, _, err := p.scanner.NextObject(into)
	switch {
	case err != nil:
		return err
	case n != h.Length:
		return packfile.ErrMalformedPackFile
	case !h.Type.IsDelta() && p.of.have(h.Type):
		p.offsets[hasher.Sum()] = offset
		return nil
	case !h.Type.IsDelta():
		return nil
	}
	target := start.targetSize()
	if p.of == allObjects && target > p.limits.Object {
		return tooLarge(target, p.limits)
	}
	if h.Type == plumbing.OFSDeltaObject {
		p.waiting[h.OffsetReference] = append(p.waiting[h.OffsetReference], offset)
	} else {
		p.waitingByHash[h.Reference] = append(p.waitingByHash[h.Reference], offset)
	}
	return inflated.spend(target)
}

// wake makes the deltas ready whose base is found.
func (p *pack) wake(hash plumbing.Hash, offset int64) {
	p.ready = append(append(p.ready, p.waiting[offset]...), p.waitingByHash[hash]...)
	delete(p.waiting, offset)
	delete(p.waitingByHash, hash)
}

// offset resolves deltas until it finds an object. The deltas of the object that was resolved last are next: it is in the cache.
func (p *pack) offset(ctx context.Context, hash plumbing.Hash) (int64, error) {
	for {
		if offset, ok := p.offsets[hash]; ok {
			return offset, nil
		}
		if len(p.ready) == 0 {
			return 0, plumbing.ErrObjectNotFound
		}
		at := p.ready[len(p.ready)-1]
		p.ready = p.ready[:len(p.ready)-1]
		kind, data, err := p.at(ctx, at)
		if err != nil {
			return 0, err
		}
		found := plumbing.ComputeHash(kind, data)
		p.offsets[found] = at
		p.wake(found, at)
	}
}

func (p *pack) object(ctx context.Context, hash plumbing.Hash) (plumbing.ObjectType, []byte, error) {
	offset, err := p.offset(ctx, hash)
	if err != nil {
		return plumbing.InvalidObject, nil, err
	}
	return p.at(ctx, offset)
}

func (p *pack) Close() error { return p.file.Close() }

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
	// ctx ends the reads. Nil means that they do not end early.
	ctx  context.Context //nolint:containedctx // a reader exists for one call
	r    io.Reader
	left int64
	what string
}

func (b *limitedReader) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, fail(Refused, "%s sent too many bytes", b.what)
	}
	if b.ctx != nil && b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
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
