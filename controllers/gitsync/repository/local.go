// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// maxAlternates limits how many other folders with objects a repository on this machine can name.
const maxAlternates = 10

// local is a repository on this machine. It is read in place, by objects, within the limits and contexts of one that is fetched.
type local struct {
	limits Limits
	work   *budget
	// folders have objects. The first is that of the repository, and the others are its alternates.
	folders []string
	packs   []*indexedPack
}

// indexedPack is a packfile with its index.
type indexedPack struct {
	*packReader
	index *idxfile.MemoryIndex
}

func openLocal(dir string, limits Limits) (source, advertised, error) {
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		dir = filepath.Join(dir, ".git")
	}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return nil, advertised{}, fmt.Errorf("%s is not a Git repository: %w", dir, err)
	}
	refs, err := advertise(dir)
	if err != nil {
		return nil, refs, err
	}
	l := &local{limits: limits, work: newBudget(workFactor * limits.Inflated)}
	if l.folders, err = objectFolders(filepath.Join(dir, "objects")); err != nil {
		return nil, refs, err
	}
	if err := l.openPacks(); err != nil {
		return nil, refs, errors.Join(err, l.Close())
	}
	return l, refs, nil
}

func advertise(dir string) (advertised, error) {
	a := advertised{refs: map[string]plumbing.Hash{}}
	all, err := filesystem.NewStorage(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(0)).IterReferences()
	if err != nil {
		return a, err
	}
	var head plumbing.ReferenceName
	err = all.ForEach(func(r *plumbing.Reference) error {
		switch {
		case r.Name() == plumbing.HEAD && r.Type() == plumbing.SymbolicReference:
			head = r.Target()
		case r.Name() == plumbing.HEAD:
			a.head, a.branch = r.Hash(), "HEAD"
		default:
			a.refs[r.Name().String()] = r.Hash()
		}
		return nil
	})
	if err != nil {
		return a, err
	}
	if hash, ok := a.refs[head.String()]; ok {
		a.head, a.branch = hash, head.Short()
	}
	return a, nil
}

// objectFolders returns a folder with objects and those that its file info/alternates names.
func objectFolders(first string) ([]string, error) {
	folders := []string{first}
	for i := 0; i < len(folders); i++ {
		data, err := os.ReadFile(filepath.Join(folders[i], "info", "alternates"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			name := strings.TrimSpace(line)
			if name == "" || strings.HasPrefix(name, "#") {
				continue
			}
			if !filepath.IsAbs(name) {
				name = filepath.Join(folders[i], name)
			}
			if folders = append(folders, name); len(folders) > maxAlternates {
				return nil, fail(Refused, "%s: more than %d alternates", first, maxAlternates)
			}
		}
	}
	return folders, nil
}

// openPacks opens the packfiles of all folders.
func (l *local) openPacks() error {
	for _, folder := range l.folders {
		names, err := filepath.Glob(filepath.Join(folder, "pack", "pack-*.idx"))
		if err != nil {
			return err
		}
		for _, name := range names {
			p, err := l.openPack(name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			l.packs = append(l.packs, p)
		}
	}
	return nil
}

func (l *local) openPack(name string) (*indexedPack, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(bytes.NewReader(data)).Decode(index); err != nil {
		return nil, err
	}
	file, err := os.Open(strings.TrimSuffix(name, ".idx") + ".pack")
	if err != nil {
		return nil, err
	}
	p := &indexedPack{newPackReader(file, l.limits, l.work), index}
	p.find = index.FindOffset
	return p, nil
}

func (l *local) fetch(context.Context, Revision) (objects, error) { return opened{l}, nil }

func (l *local) history(context.Context, Revision, plumbing.Hash) (history, error) {
	return history{objects: opened{l}}, nil
}

// opened has the objects of a repository that stays open.
type opened struct{ *local }

func (opened) Close() error { return nil }

func (l *local) object(ctx context.Context, hash plumbing.Hash) (plumbing.ObjectType, []byte, error) {
	for _, folder := range l.folders {
		kind, data, err := l.loose(ctx, folder, hash)
		if !errors.Is(err, os.ErrNotExist) {
			return kind, data, err
		}
	}
	for _, p := range l.packs {
		offset, err := p.find(hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			continue
		}
		if err != nil {
			return plumbing.InvalidObject, nil, err
		}
		return p.at(ctx, offset)
	}
	return plumbing.InvalidObject, nil, plumbing.ErrObjectNotFound
}

// loose returns an object that has a file of its own.
func (l *local) loose(ctx context.Context, folder string, hash plumbing.Hash) (kind plumbing.ObjectType, data []byte, err error) {
	name := hash.String()
	file, err := os.Open(filepath.Join(folder, name[:2], name[2:]))
	if err != nil {
		return plumbing.InvalidObject, nil, err
	}
	defer func() { _ = file.Close() }() // read only
	z, err := zlib.NewReader(&endingFile{file, ctx})
	if err != nil {
		return plumbing.InvalidObject, nil, err
	}
	const longestHeader = 64
	data, err = io.ReadAll(io.LimitReader(z, l.limits.Object+longestHeader))
	if err != nil {
		return plumbing.InvalidObject, nil, err
	}
	if err := l.work.spend(int64(len(data)) + stepCost); err != nil {
		return plumbing.InvalidObject, nil, err
	}
	header, data, _ := bytes.Cut(data, []byte{0})
	name, size, _ := strings.Cut(string(header[:min(len(header), longestHeader)]), " ")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return plumbing.InvalidObject, nil, fail(Refused, "object %s has an invalid header", hash)
	}
	if n > l.limits.Object || int64(len(data)) != n {
		return plumbing.InvalidObject, nil, fail(Refused, "object %s says that it has %d bytes, and has %d; at most %d are allowed",
			hash, n, len(data), l.limits.Object)
	}
	kind, err = plumbing.ParseObjectType(name)
	return kind, data, err
}

// Close closes the packfiles.
func (l *local) Close() error {
	var errs []error
	for _, p := range l.packs {
		errs = append(errs, p.file.Close())
	}
	return errors.Join(errs...)
}
