// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Location selects a folder at a reference of a repository, and how to reach and verify it.
type Location struct {
	// URL starts with https://, ssh:// or file:///.
	URL string `json:"url"`
	Ref Ref    `json:"ref,omitzero"`
	// Path is a folder in the repository. Empty means all of it.
	Path   string `json:"path,omitempty"`
	Auth   Auth   `json:"auth,omitzero"`
	Verify Verify `json:"verify,omitzero"`
}

// Ref selects a commit. At most one field is set. The zero value means the default branch.
type Ref struct {
	Branch string `json:"branch,omitempty"`
	Tag    string `json:"tag,omitempty"`
	// SemVer is a range of versions. It selects the highest tag in the range.
	SemVer string `json:"semver,omitempty"`
	// Commit is a full hash in lowercase hexadecimal digits.
	Commit string `json:"commit,omitempty"`
}

// Auth names the files with the credentials. Each fetch reads them again.
type Auth struct {
	// Username is sent with the token over https. Empty means git.
	Username  string `json:"username,omitempty"`
	TokenFile string `json:"tokenFile,omitempty"`
	// CAFile contains trusted certificates in PEM, in place of those of the system.
	CAFile         string `json:"caFile,omitempty"`
	SSHKeyFile     string `json:"sshKeyFile,omitempty"`
	KnownHostsFile string `json:"knownHostsFile,omitempty"`
	// Token takes precedence over TokenFile. It is never stored.
	Token string `json:"-"`
}

// Verify lists the keys that may sign. Without keys, signatures are not checked.
type Verify struct {
	// Object must be signed: Commit or Tag. Empty means the tag if the reference is a tag, and otherwise the commit.
	Object string `json:"object,omitempty"`
	// OpenPGPKeys are files with armored public keys.
	OpenPGPKeys []string `json:"openPGPKeys,omitempty"`
	// AllowedSigners are files in the format of Git's gpg.ssh.allowedSignersFile.
	AllowedSigners []string `json:"allowedSigners,omitempty"`
	// Preview leaves out the check of signatures, for a program without the keys. It is never stored.
	Preview bool `json:"-"`
	// AllowRewind follows a reference also to commits that do not descend from the one that was applied last.
	AllowRewind bool `json:"allowRewind,omitempty"`
}

// The values of Verify.Object.
const (
	VerifyCommit = "Commit"
	VerifyTag    = "Tag"
)

// Enabled reports whether the repository must have signatures.
func (v Verify) Enabled() bool { return len(v.OpenPGPKeys)+len(v.AllowedSigners) > 0 }

// Revision is a commit and the reference that led to it.
type Revision struct {
	// Ref is the short name of the branch or tag. Empty means that the commit was selected by its hash.
	Ref string
	// Commit is the hash of the commit. It is empty until Remote.Read has followed the reference.
	Commit string
	// object is the target of the reference: the commit or a tag object. peeled is the commit that the server says it leads to.
	object, peeled plumbing.Hash
	tag            bool
}

// String returns REF@sha1:COMMIT, or sha1:COMMIT without a reference. Before the commit is known, it has the hash of the object
// that the reference points to.
func (r Revision) String() string {
	commit := cmp.Or(r.Commit, r.object.String())
	if r.Ref == "" {
		return "sha1:" + commit
	}
	return r.Ref + "@sha1:" + commit
}

// CommitOf returns the hash in the text of a revision, or the text itself if it is a hash. Empty means that it has none.
func CommitOf(revision string) string {
	if _, hash, ok := strings.Cut(revision, "sha1:"); ok {
		revision = hash
	}
	if !IsHash(revision) {
		return ""
	}
	return revision
}

// IsHash reports whether a text is the full hash of an object: 40 lowercase hexadecimal digits.
func IsHash(text string) bool {
	return len(text) == 40 && strings.Trim(text, "0123456789abcdef") == ""
}

// Object returns the hash of the commit or tag object that the reference points to.
func (r Revision) Object() string { return r.object.String() }

// Same reports whether two revisions have the same reference and object.
func (r Revision) Same(other Revision) bool { return r.Ref == other.Ref && r.object == other.object }

// Times are those at which keys must be valid.
type Times struct {
	Now time.Time
	// Seen is when the source first saw the object of the revision. The signer cannot choose it.
	Seen time.Time
}

// BindingFile is the name of a file in the root of a repository. It says which sources its commits are for.
const BindingFile = ".upgrade-source.yaml"

// Content has the manifests of a revision, sorted by path. Its revision has a commit.
type Content struct {
	Revision Revision
	Files    []File
	// Binding is the content of BindingFile. Nil means that the commit has no such file, or that Verify is not enabled.
	Binding []byte
}

// File is a file of a commit. Path is relative to the root of the repository.
type File struct {
	Path string
	Data []byte
}

// Reason classifies an error in CamelCase.
type Reason string

// The reasons.
const (
	// Unreachable means that the repository could not be read. A retry may succeed.
	Unreachable Reason = "FetchFailed"
	// Misconfigured means that the configuration, or a file with credentials or keys, is invalid.
	Misconfigured Reason = "InvalidCredentials"
	// NoSuchRef means that the repository has no such branch, tag or commit.
	NoSuchRef Reason = "RefNotFound"
	// NoSuchPath means that the commit has no such folder.
	NoSuchPath Reason = "PathNotFound"
	// Refused means that the content exceeds a limit or has an unsupported type, such as a symbolic link.
	Refused Reason = "ContentRefused"
	// Unverified means that no configured key has signed the commit or tag, or that the server says it leads to another commit.
	Unverified Reason = "VerificationFailed"
)

// Error is an error with its Reason. Revision is empty if none was found.
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

// Limits bound how much is read of a repository.
type Limits struct {
	// Pack and Object limit the size of the packfile and of each object that may be read, in bytes. Objects limits the number of
	// all objects.
	Pack    int64
	Objects int
	Object  int64
	// Inflated limits the size of all objects together, in bytes. A few bytes of a packfile can inflate to any number.
	Inflated int64
	// File and Total limit the size of each manifest and of all together, in bytes. Files limits their number.
	File  int64
	Files int
	Total int64
}

// DefaultLimits returns the limits of the controller.
func DefaultLimits() Limits {
	return Limits{Pack: 256 << 20, Objects: 500_000, Object: 32 << 20, Inflated: 2 << 30, File: 1 << 20, Files: 2_000, Total: 32 << 20}
}

// Remote is an open repository with its references. The caller must close it.
type Remote struct {
	location Location
	limits   Limits
	advertised
	source source
}

// source fetches the objects of a repository.
type source interface {
	// fetch returns at least the objects of a revision.
	fetch(ctx context.Context, r Revision) (objects, error)
	// history returns at least the latest commits that a revision has and base has not.
	history(ctx context.Context, r Revision, base plumbing.Hash) (history, error)
	Close() error
}

// objects finds objects by hash.
type objects interface {
	object(ctx context.Context, hash plumbing.Hash) (plumbing.ObjectType, []byte, error)
	Close() error
}

// Open connects to a repository and reads its references. It returns an *Error, or the error of the context.
func Open(ctx context.Context, location Location, limits Limits) (*Remote, error) {
	s, refs, err := open(ctx, location, limits)
	if err != nil {
		return nil, asError(ctx, err)
	}
	return &Remote{location, limits, refs, s}, nil
}

// Close ends the connection.
func (r *Remote) Close() error { return r.source.Close() }

// Read fetches a revision, verifies its signature if keys are configured, and returns the manifests below the path. It returns
// an *Error with the revision, or the error of the context.
func (r *Remote) Read(ctx context.Context, revision Revision, when Times) (Content, error) {
	content := Content{Revision: revision}
	err := asError(ctx, r.read(ctx, &content, when))
	if wrong, ok := errors.AsType[*Error](err); ok {
		wrong.Revision = content.Revision.String()
	}
	return content, err
}

func (r *Remote) read(ctx context.Context, content *Content, when Times) error {
	found, err := r.source.fetch(ctx, content.Revision)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }() // read only
	end, err := r.resolve(ctx, found, content.Revision, when)
	if err != nil {
		return err
	}
	content.Revision.Commit = end.commit.String()
	if r.location.Verify.Enabled() {
		if content.Binding, err = readBinding(ctx, found, end, r.limits); err != nil {
			return err
		}
	}
	content.Files, err = walk(ctx, found, end, r.location.Path, r.limits)
	return err
}

// asError returns the cause of an ended context, or err as an *Error. The reason defaults to Unreachable.
func asError(ctx context.Context, err error) error {
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
