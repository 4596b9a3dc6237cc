// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// local is a repository on this machine. It is read in place.
type local struct {
	*filesystem.Storage
	limits Limits
}

func openLocal(dir string, limits Limits) (source, advertised, error) {
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		dir = filepath.Join(dir, ".git")
	}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return nil, advertised{}, fmt.Errorf("%s is not a Git repository: %w", dir, err)
	}
	l := &local{filesystem.NewStorage(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(deltaBases)), limits}
	refs, err := l.advertise()
	return l, refs, err
}

func (l *local) advertise() (advertised, error) {
	a := advertised{refs: map[string]plumbing.Hash{}}
	all, err := l.IterReferences()
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

func (l *local) fetch(context.Context, Revision) (objects, error) { return l, nil }

func (l *local) history(context.Context, Revision, plumbing.Hash) (objects, error) { return l, nil }

func (l *local) object(hash plumbing.Hash) (plumbing.EncodedObject, error) {
	if size, err := l.EncodedObjectSize(hash); err == nil && size > l.limits.Object {
		return nil, fail(Refused, "object %s is %d bytes; at most %d are allowed", hash, size, l.limits.Object)
	}
	return l.EncodedObject(plumbing.AnyObject, hash)
}

// Close does nothing: no file stays open.
func (l *local) Close() error { return nil }
