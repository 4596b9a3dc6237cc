// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// The reasons for a failed sync, in addition to those of repository.Reason.
const (
	// ReasonNoManifests means that the path contains no manifest. Nothing is applied and nothing is deleted.
	ReasonNoManifests = "NoManifests"
	// ReasonInvalid means that a manifest is invalid. Nothing of the revision is applied.
	ReasonInvalid = "InvalidManifests"
	// ReasonRefused means that the plans are valid but conflict with plans that are stored.
	ReasonRefused = "ApplyRefused"
	// ReasonRewind means that the commit does not descend from the one that was applied last, and that the source verifies
	// signatures. An old commit has a good signature, too.
	ReasonRewind = "RewindRefused"
	// ReasonUnbound means that the signed commit is not for this source: its file BindingFile does not name it.
	ReasonUnbound = "SourceNotBound"
	// ReasonUnreadable means that the stored status of a source that verifies signatures cannot be read, so that the commit which
	// was applied last is unknown.
	ReasonUnreadable = "StatusUnreadable"
	// ReasonStore means that the store did not answer or denied the request.
	ReasonStore = "StoreFailed"
)

// historyTimeout limits how long a sync waits for the history of a commit that it follows in any case.
const historyTimeout = 10 * time.Second

// Content holds the plans of a source at one revision, at least one.
type Content struct {
	Revision  string
	Documents []manifest.Document
	commit    string
	// object is what a key signed: the commit or a tag object.
	object string
	// rewound is the warning about a commit that is followed although it may not descend from the last one. Empty means none.
	rewound string
}

// SyncError says why a sync failed.
type SyncError struct {
	Reason string
	// Revision is empty if the sync failed before it found one.
	Revision string
	Err      error
}

func (e *SyncError) Error() string { return e.Err.Error() }
func (e *SyncError) Unwrap() error { return e.Err }

// Preview fetches and validates all plans of a source once, without its keys. The source is that of the status, with credentials.
// Refusals say why the next sync would not apply the plans, as far as that does not depend on signatures. Preview returns a
// *SyncError, or the error of the context.
func Preview(ctx context.Context, s Status, limits repository.Limits, now time.Time) (c Content, refusals []error, err error) {
	ctx, cancel := withTimeout(ctx, s.Source)
	defer cancel()
	r := &reader{source: s.Source, limits: limits, refuse: func(refusal *SyncError) error {
		refusals = append(refusals, refusal)
		return nil
	}}
	r.source.Verify.Preview = true
	c, err = r.read(ctx, now, s.memory(Request{ID: s.HandledRequest}))
	return c, refusals, err
}

// withTimeout returns a context that ends after the timeout of the source.
func withTimeout(ctx context.Context, s Source) (context.Context, context.CancelFunc) {
	timeout := s.timeout()
	return context.WithTimeoutCause(ctx, timeout,
		fmt.Errorf("the repository did not answer within %s; change timeout if it needs longer", timeout))
}

// reader reads a source repeatedly, and fetches only if the revision has changed.
type reader struct {
	source Source
	limits repository.Limits
	// refuse gets why a valid commit is not followed. Its error ends the read. Nil means that each refusal is an error.
	refuse func(*SyncError) error

	last    repository.Revision
	content Content
}

func (r *reader) read(ctx context.Context, now time.Time, m memory) (Content, error) {
	content, err := r.fetch(ctx, now, m)
	if wrong, ok := errors.AsType[*repository.Error](err); ok {
		return content, &SyncError{string(wrong.Reason), wrong.Revision, err}
	} else if err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return content, &SyncError{string(repository.Unreachable), "", err}
	}
	return content, err
}

func (r *reader) fetch(ctx context.Context, now time.Time, m memory) (Content, error) {
	remote, err := repository.Open(ctx, r.source.Location, r.limits)
	if err != nil {
		return Content{}, err
	}
	defer func() { _ = remote.Close() }() // read only
	revision, err := remote.Resolve(r.source.Ref)
	if err != nil {
		return Content{}, err
	}
	// Signatures are verified each time, because a key may have been removed from the configuration.
	if revision.Same(r.last) && !r.source.Verify.Enabled() {
		return r.content, nil
	}
	found, err := remote.Read(ctx, revision, repository.Times{Now: now, Seen: m.firstSeen(revision.Object(), now)})
	if err != nil {
		return Content{}, err
	}
	content := Content{Revision: found.Revision.String(), commit: found.Revision.Commit, object: revision.Object()}
	if err := r.checkBinding(found); err != nil {
		return content, err
	}
	var failure *SyncError
	if content.Documents, failure = r.decode(found); failure != nil {
		failure.Revision = content.Revision
		return content, failure
	}
	if content.rewound, err = r.rewound(ctx, remote, found.Revision, m); err != nil {
		return content, err
	}
	r.last, r.content = found.Revision, content
	return r.content, nil
}

// rewound returns a warning if it cannot tell that a commit descends from the one that was applied last, and the commit is
// followed anyway. It returns an error if the commit is not followed. The warning is empty if the commit descends.
func (r *reader) rewound(ctx context.Context, remote *repository.Remote, to repository.Revision, m memory) (string, error) {
	permitted := r.permitted(to, m)
	if m.unreadable != nil {
		return r.follow(permitted, to, ReasonUnreadable, fmt.Sprintf("cannot tell whether %s descends from the commit that was applied "+
			"last: the stored status of the source cannot be read: %s", to, m.unreadable))
	}
	if m.base == "" || m.base == to.Commit {
		return "", nil
	}
	descends, err := descends(ctx, remote, to, m.base, permitted != "")
	if descends {
		return "", nil
	}
	if err != nil {
		return r.follow(permitted, to, reasonOf(err),
			fmt.Sprintf("cannot tell whether %s descends from %s, which was applied last: %s", to, m.base, err))
	}
	return r.follow(permitted, to, ReasonRewind, fmt.Sprintf("%s does not descend from %s, which was applied last", to, m.base))
}

// follow returns a warning if the commit is permitted, and otherwise an error with the reason.
func (r *reader) follow(permitted string, to repository.Revision, reason, why string) (string, error) {
	if permitted != "" {
		return why + "; followed: " + permitted, nil
	}
	return "", r.refused(&SyncError{reason, to.String(), fmt.Errorf("%s. To follow it, run `upgradectl reconcile source %s --accept %s`, "+
		"or set verify.allowRewind", why, r.source.Name, to.Commit)})
}

// refused returns the refusal, or what refuse makes of it.
func (r *reader) refused(refusal *SyncError) error {
	if r.refuse == nil {
		return refusal
	}
	return r.refuse(refusal)
}

// checkBinding refuses a commit of a source that verifies signatures, unless the commit names the source.
func (r *reader) checkBinding(found repository.Content) error {
	if !r.source.Verify.Enabled() {
		return nil
	}
	if err := checkBinding(found.Binding, r.source); err != nil {
		return r.refused(&SyncError{ReasonUnbound, found.Revision.String(), err})
	}
	return nil
}

// permitted returns why a commit is followed even if it does not descend from the one that was applied last. Empty means that
// nothing permits it.
func (r *reader) permitted(to repository.Revision, m memory) string {
	switch {
	case !r.source.Verify.Enabled(): // who serves the repository decides anyway
		return "the source has no verify"
	case m.accept == to.Commit:
		return "accepted by " + m.acceptedBy
	case r.source.Ref.Commit != "":
		return "ref.commit names it"
	case r.source.Verify.AllowRewind:
		return "verify.allowRewind"
	}
	return ""
}

// descends reports whether a commit descends from base. If that decides only about a warning, the history must arrive soon,
// so that a slow one does not fail the sync.
func descends(ctx context.Context, remote *repository.Remote, to repository.Revision, base string, onlyWarning bool) (bool, error) {
	if onlyWarning {
		wait := historyTimeout
		if end, ok := ctx.Deadline(); ok {
			wait = min(wait, time.Until(end)/2)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, wait,
			fmt.Errorf("the server did not send the history within %s", wait.Round(100*time.Millisecond)))
		defer cancel()
	}
	return remote.Descends(ctx, to, base)
}

// reasonOf returns the reason of an error of the repository, or of the end of the context.
func reasonOf(err error) string {
	if wrong, ok := errors.AsType[*repository.Error](err); ok {
		return string(wrong.Reason)
	}
	return string(repository.Unreachable)
}

// decode parses and validates all manifests. It returns the errors of all files at once.
func (r *reader) decode(found repository.Content) ([]manifest.Document, *SyncError) {
	if len(found.Files) == 0 {
		return nil, &SyncError{Reason: ReasonNoManifests,
			Err: fmt.Errorf("path %q contains no *.yaml, *.yml or *.json; nothing was applied or deleted", r.source.Path)}
	}
	var all []manifest.Document
	var problems []error
	for _, file := range found.Files {
		documents, err := manifest.Decode(file.Path, file.Data)
		if err != nil {
			problems = append(problems, err)
		}
		for _, d := range documents {
			problems = append(problems, d.Locate(validation.ValidateUpgradePlan(d.Plan)))
		}
		all = append(all, documents...)
	}
	if err := errors.Join(append(problems, validation.Clashes(all)...)...); err != nil {
		return nil, &SyncError{Reason: ReasonInvalid, Err: err}
	}
	return all, nil
}
