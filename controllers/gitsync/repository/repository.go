// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package repository reads the files of one commit of a Git repository, without a working tree: nothing of it is ever
// written to a file that has a name. All that is fetched is bounded, in size as well as in time.
package repository

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Location says which files of which commit are meant, and how they are come by.
type Location struct {
	// URL is https://…, ssh://… or file:///….
	URL string `json:"url"`
	Ref Ref    `json:"ref,omitzero"`
	// Path is the folder in the repository; empty: all of it.
	Path   string `json:"path,omitempty"`
	Auth   Auth   `json:"auth,omitzero"`
	Verify Verify `json:"verify,omitzero"`
}

// Ref says which commit is meant: one of these, or nothing for the repository's default branch.
type Ref struct {
	Branch string `json:"branch,omitempty"`
	Tag    string `json:"tag,omitempty"`
	// SemVer is a range of versions: the highest tag in it is meant.
	SemVer string `json:"semver,omitempty"`
	// Commit is a whole hash, in hexadecimal digits.
	Commit string `json:"commit,omitempty"`
}

// Auth says in which files the credentials are. They are read at each fetch.
type Auth struct {
	// Username goes with the token of https; empty: git.
	Username  string `json:"username,omitempty"`
	TokenFile string `json:"tokenFile,omitempty"`
	// CAFile holds the certificates, in PEM, of those that are trusted in place of the system's.
	CAFile         string `json:"caFile,omitempty"`
	SSHKeyFile     string `json:"sshKeyFile,omitempty"`
	KnownHostsFile string `json:"knownHostsFile,omitempty"`
	// Token goes before TokenFile. It is in no file of ours.
	Token string `json:"-"`
}

// Verify says by whom a commit or tag must be signed; without keys: by nobody.
type Verify struct {
	// Object is what must be signed, Commit or Tag; empty: the tag when the reference is a tag, else the commit.
	Object string `json:"object,omitempty"`
	// OpenPGPKeys are files with public keys, armored.
	OpenPGPKeys []string `json:"openPGPKeys,omitempty"`
	// AllowedSigners are files as Git's gpg.ssh.allowedSignersFile.
	AllowedSigners []string `json:"allowedSigners,omitempty"`
}

// The objects of Verify.
const (
	VerifyCommit = "Commit"
	VerifyTag    = "Tag"
)

// Wanted says whether signatures are checked.
func (v Verify) Wanted() bool { return len(v.OpenPGPKeys)+len(v.AllowedSigners) > 0 }

// Revision is a commit, and the reference that pointed to it.
type Revision struct {
	// Ref is the short name of the branch or tag; empty: the commit itself is what was asked for.
	Ref    string
	Commit string
	// object is what the reference points to: the commit, or a tag object.
	object plumbing.Hash
	tag    bool
}

// String is for people, as main@sha1:1234….
func (r Revision) String() string {
	if r.Ref == "" {
		return "sha1:" + r.Commit
	}
	return r.Ref + "@sha1:" + r.Commit
}

// Same says whether two revisions are of the same objects: also the tag, if there is one, is the same.
func (r Revision) Same(other Revision) bool { return r == other }

// File is a file of a commit, by its path from the root of the repository.
type File struct {
	Path string
	Data []byte
}

// Reason says in one word what is wrong.
type Reason string

// The reasons.
const (
	// Unreachable: the repository could not be read. It may be the next time.
	Unreachable Reason = "FetchFailed"
	// Misconfigured: a file with credentials or keys is not what it should be.
	Misconfigured Reason = "InvalidCredentials"
	// NoSuchRef and NoSuchPath: the repository has no such branch, tag, commit or folder.
	NoSuchRef  Reason = "RefNotFound"
	NoSuchPath Reason = "PathNotFound"
	// Refused: what is there is not taken, because it is too large, or a symbolic link.
	Refused Reason = "ContentRefused"
	// Unverified: it is not signed by one of the keys that are given.
	Unverified Reason = "VerificationFailed"
)

// Error says what is wrong, and of which revision, if one was found.
type Error struct {
	Reason   Reason
	Revision string
	Err      error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func fail(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Limits bound what is read of a repository.
type Limits struct {
	// Pack is how many bytes are fetched at most, Objects how many objects, and Object how large one may be.
	Pack    int64
	Objects int
	Object  int64
	// File is how large a manifest may be, Files how many there may be, and Total their size in all.
	File  int64
	Files int
	Total int64
}

// DefaultLimits are those of a controller.
func DefaultLimits() Limits {
	return Limits{Pack: 256 << 20, Objects: 500_000, Object: 32 << 20, File: 1 << 20, Files: 2_000, Total: 32 << 20}
}

// Remote is a repository that was asked what it has. It must be closed.
type Remote struct {
	location Location
	limits   Limits
	advertised
	source source
}

// source is where the objects of a repository come from.
type source interface {
	// fetch returns what a revision needs, or more.
	fetch(ctx context.Context, r Revision) (objects, error)
	Close() error
}

// objects are found by their hashes.
type objects interface {
	object(hash plumbing.Hash) (plumbing.EncodedObject, error)
	Close() error
}

// Open asks a repository which references it has. Errors are *Error, or that of the context.
func Open(ctx context.Context, location Location, limits Limits) (*Remote, error) {
	s, refs, err := open(ctx, location, limits)
	if err != nil {
		return nil, told(ctx, err)
	}
	return &Remote{location, limits, refs, s}, nil
}

// Close ends the connection.
func (r *Remote) Close() error { return r.source.Close() }

// Read fetches a revision, checks who has signed it, and returns the manifests below the path, sorted by path. Errors are
// *Error with the revision, or that of the context.
func (r *Remote) Read(ctx context.Context, revision Revision, now time.Time) ([]File, error) {
	files, err := r.read(ctx, revision, now)
	err = told(ctx, err)
	if wrong, ok := errors.AsType[*Error](err); ok {
		wrong.Revision = revision.String()
	}
	return files, err
}

func (r *Remote) read(ctx context.Context, revision Revision, now time.Time) ([]File, error) {
	found, err := r.source.fetch(ctx, revision)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }() // it was only read
	commit, err := r.commit(found, revision)
	if err != nil {
		return nil, err
	}
	if r.location.Verify.Wanted() {
		if err := r.verify(found, revision, now); err != nil {
			return nil, err
		}
	}
	return walk(ctx, found, commit.TreeHash, r.location.Path, r.limits)
}

// told makes an error one of those that are promised.
func told(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		return &Error{Reason: Unreachable, Err: err}
	}
	return err
}
