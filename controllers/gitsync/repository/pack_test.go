// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// packedObject is an object of a packfile that a test writes.
type packedObject struct {
	kind plumbing.ObjectType
	// base is how many objects before this one its base is, for an OFS delta, or the hash of its base, for a REF delta.
	base    int
	ref     plumbing.Hash
	content []byte
}

// varint encodes the sizes of a delta: seven bits a byte, least significant first.
func varint(n uint64) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// packed returns a packfile.
func packed(t testing.TB, all ...packedObject) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, [2]uint32{2, uint32(len(all))})
	var offsets []int
	for i, o := range all {
		offsets = append(offsets, b.Len())
		size := len(o.content)
		first := byte(o.kind)<<4 | byte(size&0xf)
		if size >>= 4; size > 0 {
			b.WriteByte(first | 0x80)
			b.Write(varint(uint64(size)))
		} else {
			b.WriteByte(first)
		}
		switch o.kind {
		case plumbing.OFSDeltaObject:
			back := offsets[i] - offsets[i-o.base]
			code := []byte{byte(back & 0x7f)}
			for back >>= 7; back > 0; back >>= 7 {
				back--
				code = append([]byte{0x80 | byte(back&0x7f)}, code...)
			}
			b.Write(code)
		case plumbing.REFDeltaObject:
			b.Write(o.ref[:])
		}
		z := zlib.NewWriter(&b)
		if _, err := z.Write(o.content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha1.Sum(b.Bytes())
	b.Write(sum[:])
	return b.Bytes()
}

// store stores a packfile within limits, until the test ends.
func store(ctx context.Context, t testing.TB, data []byte, limits Limits) (*pack, error) {
	t.Helper()
	return storeOf(ctx, t, data, limits, allObjects)
}

func storeOf(ctx context.Context, t testing.TB, data []byte, limits Limits, of contents) (*pack, error) {
	t.Helper()
	p, err := storePack(ctx, bytes.NewReader(data), limits, of)
	if err == nil {
		t.Cleanup(func() { _ = p.Close() })
	}
	return p, err
}

func wantRefused(t *testing.T, err error, says string) {
	t.Helper()
	if wrong, ok := errors.AsType[*Error](err); !ok || wrong.Reason != Refused || !strings.Contains(err.Error(), says) {
		t.Errorf("got the error %v, want ContentRefused: %s", err, says)
	}
}

// A delta of a few bytes can produce an object of any size.
func TestStorePack_LimitsDeltaTargets(t *testing.T) {
	blob := packedObject{kind: plumbing.BlobObject, content: []byte("hello")}
	delta := func(content ...byte) []byte {
		return packed(t, blob, packedObject{kind: plumbing.OFSDeltaObject, base: 1, content: content})
	}
	p, err := store(t.Context(), t, delta(5, 5, 0x90, 5), DefaultLimits()) // copies the 5 bytes
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.object(t.Context(), plumbing.ComputeHash(plumbing.BlobObject, blob.content)); err != nil {
		t.Error(err)
	}
	for name, data := range map[string][]byte{
		"1 GiB":                   delta(5, 0x80, 0x80, 0x80, 0x80, 4, 0x90, 5),
		"a size that is no int64": delta(append([]byte{5}, bytes.Repeat([]byte{0xff}, 12)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := store(t.Context(), t, data, DefaultLimits())
			wantRefused(t, err, "contains a file or folder of")
		})
	}
}

// The history of a repository can have files that nothing reads. They count only against the limit of all objects together.
func TestStorePack_CommitsOnly(t *testing.T) {
	limits := Limits{Pack: 1 << 20, Objects: 10, Object: 100, Inflated: 10_000}
	commit := packedObject{kind: plumbing.CommitObject, content: []byte("tree")}
	file := packedObject{kind: plumbing.BlobObject, content: make([]byte, 1000)}
	otherFile := packedObject{kind: plumbing.OFSDeltaObject, base: 1, content: copyAll(1000, 1)}
	otherCommit := packedObject{kind: plumbing.OFSDeltaObject, base: 3, content: copyAll(4, 's')}
	all := []packedObject{commit, file, otherFile, otherCommit}
	p, err := storeOf(t.Context(), t, packed(t, all...), limits, commitsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for text, kind := range map[string]plumbing.ObjectType{"tree": plumbing.CommitObject, "trees": plumbing.CommitObject} {
		if _, _, err := p.object(t.Context(), plumbing.ComputeHash(kind, []byte(text))); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, content := range [][]byte{file.content, append(file.content, 1)} {
		if _, _, err := p.object(t.Context(), plumbing.ComputeHash(plumbing.BlobObject, content)); !errors.Is(err, plumbing.ErrObjectNotFound) {
			t.Errorf("a file of %d bytes: got the error %v", len(content), err)
		}
	}
	_, err = store(t.Context(), t, packed(t, all...), limits)
	wantRefused(t, err, "contains a file or folder of 1000 bytes")
	_, err = storeOf(t.Context(), t, packed(t, packedObject{kind: plumbing.CommitObject, content: make([]byte, 101)}), limits, commitsOnly)
	wantRefused(t, err, "of 101 bytes")
	limits.Inflated = 1500
	_, err = storeOf(t.Context(), t, packed(t, all...), limits, commitsOnly)
	wantRefused(t, err, "inflate to more than 1500 bytes")
	limits.Inflated = 999
	_, err = storeOf(t.Context(), t, packed(t, all...), limits, commitsOnly)
	wantRefused(t, err, "inflate to more than 999 bytes")

	// The delta of a commit is a commit, too.
	limits.Inflated = 10_000
	large := packedObject{kind: plumbing.OFSDeltaObject, base: 1, content: append(binary.AppendUvarint([]byte{4}, 105), 0x90, 4)}
	p, err = storeOf(t.Context(), t, packed(t, commit, large), limits, commitsOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = p.object(t.Context(), plumbing.ZeroHash)
	wantRefused(t, err, "of 105 bytes")
}

// copyAll is a delta that copies a base of that size, which takes time and few bytes. The last byte makes the result unique.
func copyAll(size int, last ...byte) []byte {
	delta := append(varint(uint64(size)), varint(uint64(size+len(last)))...)
	for at := 0; at < size; {
		n := min(size-at, 0xffffff)
		delta = append(delta, 0xff, byte(at), byte(at>>8), byte(at>>16), byte(at>>24), byte(n), byte(n>>8), byte(n>>16))
		at += n
	}
	return append(append(delta, byte(len(last))), last...)
}

// bomb is a packfile of some 60 kB with deltas that each take 0.1 s and 31 MiB.
func bomb(t testing.TB, deltas int) []byte {
	const size = 31 << 20
	all := []packedObject{{kind: plumbing.BlobObject, content: make([]byte, size)}}
	for i := range deltas {
		all = append(all, packedObject{kind: plumbing.OFSDeltaObject, base: i + 1, content: copyAll(size, byte(i), byte(i>>8), 1)})
	}
	data := packed(t, all...)
	if len(data) > 100_000 {
		t.Fatalf("%d bytes", len(data))
	}
	return data
}

func TestStorePack_CountsInflatedBytesBeforeItResolvesDeltas(t *testing.T) {
	data := bomb(t, 400)
	p, err := store(t.Context(), t, data, DefaultLimits())
	wantRefused(t, err, "the objects of the repository inflate to more than 2147483648 bytes")
	if p != nil {
		t.Error("the packfile is open")
	}
}

// The budget of the scan does not count how often a base is inflated again.
func TestPack_CountsInflatedBytesWhileItResolvesDeltas(t *testing.T) {
	const size = 1 << 20
	all := []packedObject{{kind: plumbing.BlobObject, content: make([]byte, size)}}
	for i := range 8 {
		all = append(all, packedObject{kind: plumbing.OFSDeltaObject, base: 1, content: copyAll(size+i, byte(i))})
	}
	limits := DefaultLimits()
	limits.Inflated = 12 << 20
	p, err := store(t.Context(), t, packed(t, all...), limits)
	if err != nil {
		t.Fatal(err)
	}
	p.bases.MaxSize, p.work = 0, newBudget(12<<20) // nothing stays in the cache
	_, _, err = p.object(t.Context(), plumbing.NewHash("12345678"))
	wantRefused(t, err, "inflate to more than")
}

func TestPack_EndsWithTheContext(t *testing.T) {
	limits := DefaultLimits()
	limits.Inflated = 1 << 40
	ended := errors.New("the context has ended")
	within := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeoutCause(t.Context(), d, ended)
		t.Cleanup(cancel)
		return ctx
	}
	p, err := store(t.Context(), t, bomb(t, 400), limits)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, _, err := p.object(within(50*time.Millisecond), plumbing.NewHash("12345678")); !errors.Is(err, ended) {
		t.Errorf("resolving: %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took) // all deltas take 40 s
	}
	ctx := within(0)
	<-ctx.Done()
	if _, err := store(ctx, t, bomb(t, 1), limits); !errors.Is(err, ended) {
		t.Errorf("scanning: %v", err)
	}
}

// Objects that are not asked for are not resolved.
func TestPack_ResolvesOnlyWhatIsRead(t *testing.T) {
	data := bomb(t, 40)
	p, err := store(t.Context(), t, data, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.object(t.Context(), plumbing.ComputeHash(plumbing.BlobObject, make([]byte, 31<<20))); err != nil {
		t.Fatal(err)
	}
	if len(p.offsets) != 1 || len(p.ready) != 40 {
		t.Errorf("%d objects are resolved, %d wait", len(p.offsets), len(p.ready))
	}
}

func TestPack_ResolvesChainsOfEachKind(t *testing.T) {
	hash := func(text string) plumbing.Hash { return plumbing.ComputeHash(plumbing.BlobObject, []byte(text)) }
	blob := packedObject{kind: plumbing.BlobObject, content: []byte("a")}
	ofs := func(base, size int, last byte) packedObject {
		return packedObject{kind: plumbing.OFSDeltaObject, base: base, content: copyAll(size, last)}
	}
	ref := func(base string, last byte) packedObject {
		return packedObject{kind: plumbing.REFDeltaObject, ref: hash(base), content: copyAll(len(base), last)}
	}
	for name, all := range map[string][]packedObject{
		"offsets":           {blob, ofs(1, 1, 'b'), ofs(1, 2, 'c')},
		"hashes":            {blob, ref("a", 'b'), ref("ab", 'c')},
		"hashes, backwards": {ref("ab", 'c'), ref("a", 'b'), blob},
		"mixed":             {ref("a", 'b'), ofs(1, 2, 'c'), blob},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := store(t.Context(), t, packed(t, all...), DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"abc", "a", "ab", "abc"} {
				_, data, err := hashedObject(t.Context(), p, hash(text), 10)
				if err != nil || string(data) != text {
					t.Errorf("%s: got %q and the error %v", text, data, err)
				}
			}
			if _, _, err := p.object(t.Context(), hash("abcd")); !errors.Is(err, plumbing.ErrObjectNotFound) {
				t.Errorf("missing object: %v", err)
			}
		})
	}
	itself := packedObject{kind: plumbing.REFDeltaObject, ref: hash("x"), content: copyAll(1, 'b')}
	p, err := store(t.Context(), t, packed(t, blob, itself), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.object(t.Context(), hash("x")); !errors.Is(err, plumbing.ErrObjectNotFound) {
		t.Errorf("a delta without base: %v", err)
	}
}

// A file of a repository on this machine can say that it is small, and inflate to any size.
func TestLocal_LimitsLooseObjects(t *testing.T) {
	name := plumbing.NewHash(strings.Repeat("12345678", 5))
	file := filepath.Join(t.TempDir(), name.String()[:2], name.String()[2:])
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	limits := DefaultLimits()
	limits.Object = 1 << 20
	for what, content := range map[string]string{
		"more than it says":  "blob 5\x00" + strings.Repeat("0", 16<<20),
		"too much":           "blob 16777216\x00" + strings.Repeat("0", 16<<20),
		"no end of a header": strings.Repeat("0", 16<<20),
		"less than it says":  "blob 5\x00abc",
		"an invalid size":    "blob x\x00abc",
	} {
		t.Run(what, func(t *testing.T) {
			var b bytes.Buffer
			z := zlib.NewWriter(&b)
			if _, err := io.WriteString(z, content); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			l := &local{limits: limits, work: newBudget(8 << 20), folders: []string{filepath.Dir(filepath.Dir(file))}}
			_, _, err := l.object(t.Context(), name)
			wantRefused(t, err, "object "+name.String())
		})
	}
}
