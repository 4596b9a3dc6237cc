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

// The reasons for which a sync fails, beside those of repository.Reason.
const (
	// ReasonNoManifests: there is nothing to apply. Nothing is deleted then.
	ReasonNoManifests = "NoManifests"
	// ReasonInvalid: a manifest is not what a plan may be. Nothing of that revision is applied.
	ReasonInvalid = "InvalidManifests"
	// ReasonRefused: the plans are right, and cannot be stored beside those that are there.
	ReasonRefused = "ApplyRefused"
	// ReasonStore: the store did not answer, or its token may not do it.
	ReasonStore = "StoreFailed"
)

// Content is what a source holds: at least one plan.
type Content struct {
	Revision  string
	Documents []manifest.Document
}

// Failure is why a sync failed.
type Failure struct {
	Reason string
	// Revision is what was found; empty: it was not come that far.
	Revision string
	Err      error
}

func (e *Failure) Error() string { return e.Err.Error() }
func (e *Failure) Unwrap() error { return e.Err }

// Read reads and validates all plans of a source, once. Errors are *Failure, or that of the context.
func Read(ctx context.Context, s Source, limits repository.Limits, now time.Time) (Content, error) {
	ctx, cancel := bounded(ctx, s)
	defer cancel()
	return (&reader{source: s, limits: limits}).read(ctx, now)
}

// bounded is the context of one look at a source.
func bounded(ctx context.Context, s Source) (context.Context, context.CancelFunc) {
	timeout := duration(s.Timeout, DefaultTimeout)
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the repository did not answer within %s (timeout)", timeout))
}

// reader reads a source again and again, and fetches it only when it has changed.
type reader struct {
	source Source
	limits repository.Limits

	last    repository.Revision
	content Content
}

func (r *reader) read(ctx context.Context, now time.Time) (Content, error) {
	content, err := r.look(ctx, now)
	if wrong, ok := errors.AsType[*repository.Error](err); ok {
		return content, &Failure{string(wrong.Reason), wrong.Revision, err}
	} else if err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return content, &Failure{string(repository.Unreachable), "", err}
	}
	return content, err
}

func (r *reader) look(ctx context.Context, now time.Time) (Content, error) {
	remote, err := repository.Open(ctx, r.source.Location, r.limits)
	if err != nil {
		return Content{}, err
	}
	defer func() { _ = remote.Close() }() // it was only read
	revision, err := remote.Resolve(r.source.Ref)
	if err != nil {
		return Content{}, err
	}
	// What was signed is verified each time: a key may have been taken out.
	if revision.Same(r.last) && !r.source.Verify.Wanted() {
		return r.content, nil
	}
	files, err := remote.Read(ctx, revision, now)
	if err != nil {
		return Content{}, err
	}
	documents, failure := r.decode(files)
	if failure != nil {
		failure.Revision = revision.String()
		return Content{}, failure
	}
	r.last, r.content = revision, Content{revision.String(), documents}
	return r.content, nil
}

// decode reads all manifests; all that is wrong is told at once.
func (r *reader) decode(files []repository.File) ([]manifest.Document, *Failure) {
	if len(files) == 0 {
		return nil, &Failure{Reason: ReasonNoManifests,
			Err: fmt.Errorf("path %q holds no *.yaml, *.yml or *.json: nothing is applied, and nothing deleted", r.source.Path)}
	}
	var all []manifest.Document
	var problems []error
	for _, file := range files {
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
		return nil, &Failure{Reason: ReasonInvalid, Err: err}
	}
	return all, nil
}
