// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"errors"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxAncestors limits how many commits are read to find an ancestor.
const maxAncestors = 200_000

// history has the commits that are read to find an ancestor.
type history struct {
	objects
	// shallow has the commits whose parents a server left out because of the depth that was asked for.
	shallow map[plumbing.Hash]bool
	// common reports whether a server left out the commits that the ancestor has.
	common bool
}

// complete reports whether a commit that is not there does not matter: its child is not at the limit of the depth, and the
// ancestor has it.
func (h history) complete(child plumbing.Hash) bool { return h.common && !h.shallow[child] }

// Descends reports whether base, the hash of a commit, is an ancestor of a revision that was read: only commits that have the
// hashes in their children count. It returns an *Error, also if a limit ends the search, or the error of the context.
func (r *Remote) Descends(ctx context.Context, revision Revision, base string) (bool, error) {
	tip, ancestor := plumbing.NewHash(revision.Commit), plumbing.NewHash(base)
	if tip == ancestor {
		return true, nil
	}
	commits, err := r.source.history(ctx, revision, ancestor)
	if err != nil {
		return false, asError(ctx, err)
	}
	defer func() { _ = commits.Close() }() // read only
	found, err := commits.isAncestor(ctx, ancestor, tip)
	return found, asError(ctx, err)
}

// isAncestor reports whether a commit can be reached from another one by its parents.
func (h history) isAncestor(ctx context.Context, ancestor, from plumbing.Hash) (bool, error) {
	// children has a child of each commit that was found.
	children := map[plumbing.Hash]plumbing.Hash{from: from}
	read, cut := 0, false
	for next := []plumbing.Hash{from}; len(next) > 0; next = next[1:] {
		commit := next[0]
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case commit == ancestor:
			return true, nil
		case read == maxAncestors:
			return false, notAmong(ancestor, read)
		}
		parents, err := parentsOf(ctx, h, commit)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			cut = cut || !h.complete(children[commit])
			continue
		}
		if err != nil {
			return false, err
		}
		read++
		for _, parent := range parents {
			if _, ok := children[parent]; !ok {
				children[parent] = commit
				next = append(next, parent)
			}
		}
	}
	if cut {
		return false, notAmong(ancestor, read)
	}
	return false, nil
}

func notAmong(ancestor plumbing.Hash, read int) error {
	return fail(Refused, "%s is not among the last %d commits, and the history before them was not read", ancestor, read)
}

// parentsOf returns the parents of a commit.
func parentsOf(ctx context.Context, commits objects, hash plumbing.Hash) ([]plumbing.Hash, error) {
	kind, data, err := hashedObject(ctx, commits, hash, maxSigned)
	if err != nil {
		return nil, err
	}
	if kind != plumbing.CommitObject {
		return nil, fail(Refused, "%s is a %s, not a commit", hash, kind)
	}
	commit, err := parseSigned(kind, data)
	return commit.parents, err
}
