// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxTags limits the length of a chain of tag objects.
const maxTags = 5

// advertised has the references of a repository.
type advertised struct {
	refs map[string]plumbing.Hash
	// peeled maps references to tag objects to the commits of the tags.
	peeled map[string]plumbing.Hash
	// head is the commit of HEAD and branch its branch. The branch is empty if the server does not say.
	head   plumbing.Hash
	branch string
}

// Resolve returns the revision that a Ref selects.
func (a advertised) Resolve(ref Ref) (Revision, error) {
	switch {
	case ref.Commit != "":
		return Revision{Commit: ref.Commit, object: plumbing.NewHash(ref.Commit)}, nil
	case ref.Tag != "":
		return a.byName("tag", plumbing.NewTagReferenceName(ref.Tag))
	case ref.SemVer != "":
		return a.bySemVer(ref.SemVer)
	case ref.Branch != "":
		return a.byName("branch", plumbing.NewBranchReferenceName(ref.Branch))
	case a.head.IsZero():
		return Revision{}, fail(NoSuchRef, "the repository has no default branch")
	}
	return Revision{Ref: a.branch, Commit: a.head.String(), object: a.head}, nil
}

func (a advertised) byName(what string, name plumbing.ReferenceName) (Revision, error) {
	hash, ok := a.refs[name.String()]
	if !ok {
		return Revision{}, fail(NoSuchRef, "the repository has no %s %q", what, name.Short())
	}
	r := Revision{Ref: name.Short(), Commit: hash.String(), object: hash, tag: name.IsTag()}
	if peeled, ok := a.peeled[name.String()]; ok {
		r.Commit = peeled.String()
	}
	return r, nil
}

// bySemVer returns the tag with the highest version in a range. If several tags have the same version, the last by name wins.
func (a advertised) bySemVer(text string) (Revision, error) {
	within, err := semver.NewConstraint(text)
	if err != nil {
		return Revision{}, fail(Misconfigured, "ref.semver %q: %w", text, err)
	}
	var best *semver.Version
	var name plumbing.ReferenceName
	for ref := range a.refs {
		tag := plumbing.ReferenceName(ref)
		if !tag.IsTag() {
			continue
		}
		version, err := semver.NewVersion(tag.Short())
		if err != nil || !within.Check(version) {
			continue
		}
		if best == nil || version.GreaterThan(best) || version.Equal(best) && tag > name {
			best, name = version, tag
		}
	}
	if best == nil {
		return Revision{}, fail(NoSuchRef, "the repository has no tag in the range %q", text)
	}
	return a.byName("tag", name)
}

// heads returns the commits of all branches, sorted.
func (a advertised) heads() []plumbing.Hash {
	var all []plumbing.Hash
	for name, hash := range a.refs {
		if strings.HasPrefix(name, "refs/heads/") && !slices.Contains(all, hash) {
			all = append(all, hash)
		}
	}
	plumbing.HashesSort(all)
	return all
}

// isTip reports whether a reference points to the object.
func (a advertised) isTip(hash plumbing.Hash) bool {
	for _, refs := range []map[string]plumbing.Hash{a.refs, a.peeled} {
		for _, tip := range refs {
			if tip == hash {
				return true
			}
		}
	}
	return a.head == hash
}

// commit returns the commit of a revision. It follows tag objects.
func (a advertised) commit(from objects, r Revision) (*object.Commit, error) {
	hash := r.object
	for range maxTags {
		o, err := from.object(hash)
		if err != nil {
			return nil, fail(NoSuchRef, "%s: %w", r, err)
		}
		switch o.Type() {
		case plumbing.CommitObject:
			commit := &object.Commit{}
			err := commit.Decode(o)
			return commit, err
		case plumbing.TagObject:
			tag := &object.Tag{}
			if err := tag.Decode(o); err != nil {
				return nil, err
			}
			hash = tag.Target
		default:
			return nil, fail(NoSuchRef, "%s is a %s, not a commit", r, o.Type())
		}
	}
	return nil, fail(Refused, "%s: a chain of more than %d tags", r, maxTags)
}

// objectError adds the kind and hash of an object to an error.
func objectError(what string, hash plumbing.Hash, err error) error {
	return fmt.Errorf("%s %s: %w", what, hash, err)
}
