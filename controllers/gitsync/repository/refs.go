// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
)

// advertised has the references of a repository.
type advertised struct {
	refs map[string]plumbing.Hash
	// peeled maps references to the commits that they lead to, as the server says. It is only compared with what they do lead to.
	peeled map[string]plumbing.Hash
	// head is the commit of HEAD and branch its branch. The branch is empty if the server does not say.
	head   plumbing.Hash
	branch string
}

// Resolve returns the revision that a Ref selects. Its commit is empty until Remote.Read has found it.
func (a advertised) Resolve(ref Ref) (Revision, error) {
	switch {
	case ref.Commit != "":
		return Revision{object: plumbing.NewHash(ref.Commit)}, nil
	case ref.Tag != "":
		return a.byName("tag", plumbing.NewTagReferenceName(ref.Tag))
	case ref.SemVer != "":
		return a.bySemVer(ref.SemVer)
	case ref.Branch != "":
		return a.byName("branch", plumbing.NewBranchReferenceName(ref.Branch))
	case a.head.IsZero():
		return Revision{}, fail(NoSuchRef, "the repository has no default branch")
	}
	branch := plumbing.NewBranchReferenceName(a.branch)
	if hash, ok := a.refs[branch.String()]; ok && hash != a.head {
		return Revision{}, fail(Unreachable, "the server contradicts itself: HEAD is %s, and its branch %s is %s", a.head, a.branch, hash)
	}
	return Revision{Ref: a.branch, object: a.head, peeled: a.peeled[plumbing.HEAD.String()]}, nil
}

func (a advertised) byName(what string, name plumbing.ReferenceName) (Revision, error) {
	hash, ok := a.refs[name.String()]
	if !ok {
		return Revision{}, fail(NoSuchRef, "the repository has no %s %q", what, name.Short())
	}
	return Revision{Ref: name.Short(), object: hash, peeled: a.peeled[name.String()], tag: name.IsTag()}, nil
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

// tips returns the targets of all branches and tags, sorted.
func (a advertised) tips() []plumbing.Hash {
	var all []plumbing.Hash
	for name, hash := range a.refs {
		if n := plumbing.ReferenceName(name); n.IsBranch() || n.IsTag() {
			all = append(all, hash)
		}
	}
	plumbing.HashesSort(all)
	return slices.Compact(all)
}

// isTip reports whether a reference points to the object.
func (a advertised) isTip(hash plumbing.Hash) bool {
	for _, tip := range a.refs {
		if tip == hash {
			return true
		}
	}
	return a.head == hash
}

// objectError adds the kind and hash of an object to an error.
func objectError(what string, hash plumbing.Hash, err error) error {
	return fmt.Errorf("%s %s: %w", what, hash, err)
}
