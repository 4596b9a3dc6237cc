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

// Descends reports whether base, the hash of a commit, is an ancestor of a revision that was read. It is false if the server
// does not show it: only commits that have the hashes in their children count. It returns an *Error, or the error of the context.
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
	found, err := isAncestor(ctx, commits, ancestor, tip)
	return found, asError(ctx, err)
}

// isAncestor reports whether a commit can be reached from another one by its parents.
func isAncestor(ctx context.Context, commits objects, ancestor, from plumbing.Hash) (bool, error) {
	seen := map[plumbing.Hash]bool{from: true}
	for next := []plumbing.Hash{from}; len(next) > 0; {
		commit := next[0]
		next = next[1:]
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case commit == ancestor:
			return true, nil
		case len(seen) > maxAncestors:
			return false, fail(Refused, "%s has more than %d commits that %s has not", from, maxAncestors, ancestor)
		}
		parents, err := parentsOf(ctx, commits, commit)
		if err != nil {
			return false, err
		}
		for _, parent := range parents {
			if !seen[parent] {
				seen[parent] = true
				next = append(next, parent)
			}
		}
	}
	return false, nil
}

// parentsOf returns the parents of a commit. A commit that the server left out has none.
func parentsOf(ctx context.Context, commits objects, hash plumbing.Hash) ([]plumbing.Hash, error) {
	o, err := hashedObject(ctx, commits, hash, maxSigned)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if o.Type() != plumbing.CommitObject {
		return nil, fail(Refused, "%s is a %s, not a commit", hash, o.Type())
	}
	commit, err := parseSigned(o)
	return commit.parents, err
}
