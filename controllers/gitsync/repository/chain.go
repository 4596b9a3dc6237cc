// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxTags limits the length of a chain of tag objects.
const maxTags = 5

// chain is the end of the path from the object of a revision to a commit. Only Remote.resolve makes one: the path follows the
// hashes in objects whose content has that hash, and a configured key has signed it. Everything that is read of a revision
// starts here, and nothing starts at a statement of the server.
type chain struct {
	commit, tree plumbing.Hash
}

// resolve follows tag objects from a revision to its commit. If keys are configured, one of them must have signed the object
// that Verify.Object names.
func (r *Remote) resolve(ctx context.Context, from objects, revision Revision, when Times) (chain, error) {
	policy, err := r.location.Verify.policy(revision, when)
	if err != nil {
		return chain{}, err
	}
	hash, named := revision.object, ""
	for depth := range maxTags + 1 {
		o, err := hashedObject(ctx, from, hash, maxSigned)
		if err != nil {
			return chain{}, inRevision(revision, err)
		}
		if kind := o.Type(); kind != plumbing.CommitObject && (kind != plumbing.TagObject || !revision.tag) {
			return chain{}, fail(NoSuchRef, "%s is a %s, not a commit", revision, kind)
		} else if named != "" && named != kind.String() {
			return chain{}, fail(Unverified, "%s: a tag says that %s is a %s, but it is a %s", revision, hash, named, kind)
		}
		signed, err := parseSigned(o)
		if err != nil {
			return chain{}, fail(Unverified, "%s: %s %s: %w", revision, o.Type(), hash, err)
		}
		if err := policy.check(signed, depth == 0); err != nil {
			return chain{}, fail(Unverified, "%s: %w", revision, err)
		}
		if signed.kind == plumbing.CommitObject {
			return revision.endsAt(chain{commit: hash, tree: signed.next})
		}
		hash, named = signed.next, signed.nextKind
	}
	return chain{}, fail(Refused, "%s: a chain of more than %d tags", revision, maxTags)
}

// endsAt returns the chain, or an error if the server says that the reference leads to another commit.
func (r Revision) endsAt(c chain) (chain, error) {
	if !r.peeled.IsZero() && r.peeled != c.commit {
		return chain{}, fail(Unverified, "%s leads to the commit %s, but the server says that it leads to %s", r, c.commit, r.peeled)
	}
	return c, nil
}

// inRevision returns the error of a missing or large object of the path to a commit.
func inRevision(r Revision, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fail(NoSuchRef, "%s: %w", r, err)
	}
	return fmt.Errorf("%s: %w", r, err)
}

// hashedObject returns an object of at most limit bytes, or an error if its content does not have that hash. Backends find
// objects by an index, which can be wrong.
func hashedObject(ctx context.Context, from objects, hash plumbing.Hash, limit int64) (*plumbing.MemoryObject, error) {
	o, err := from.object(ctx, hash)
	if err != nil {
		return nil, err
	}
	data, err := readObject(o, limit)
	if err != nil {
		return nil, err
	}
	if is := plumbing.ComputeHash(o.Type(), data); is != hash {
		return nil, fail(Refused, "the content of object %s has the hash %s", hash, is)
	}
	read := &plumbing.MemoryObject{}
	read.SetType(o.Type())
	_, err = read.Write(data)
	return read, err
}
