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
		kind, data, err := hashedObject(ctx, from, hash, maxSigned)
		if err != nil {
			return chain{}, inRevision(revision, err)
		}
		if kind != plumbing.CommitObject && (kind != plumbing.TagObject || !revision.tag) {
			return chain{}, fail(NoSuchRef, "%s is a %s, not a commit", revision, kind)
		} else if named != "" && named != kind.String() {
			return chain{}, fail(Unverified, "%s: a tag says that %s is a %s, but it is a %s", revision, hash, named, kind)
		}
		signed, err := parseSigned(kind, data)
		if err != nil {
			return chain{}, fail(Unverified, "%s: %s %s: %w", revision, kind, hash, err)
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

// hashedObject returns the type and content of an object of at most limit bytes, or an error if its content does not have that
// hash. Backends find objects by an index, which can be wrong.
func hashedObject(ctx context.Context, from objects, hash plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	kind, data, err := from.object(ctx, hash)
	if err != nil {
		return kind, nil, err
	}
	if int64(len(data)) > limit {
		return kind, nil, fmt.Errorf("%d bytes is too large; at most %d are allowed", len(data), limit)
	}
	if is := plumbing.ComputeHash(kind, data); is != hash {
		return kind, nil, fail(Refused, "the content of object %s has the hash %s", hash, is)
	}
	return kind, data, nil
}
