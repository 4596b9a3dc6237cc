// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitsync makes the plans in a store what a Git repository says.
//
// It goes by level: each sync reads what the repository holds now and applies all of it, or none when anything in it is
// wrong. So a sync that was broken off is finished by the next one, and what somebody else has changed is put right. What
// operators ordered (pause, abort, rollback, holds) is not part of a plan's spec, and no sync changes it.
package gitsync

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// The defaults of a source.
const (
	DefaultInterval = time.Minute
	DefaultTimeout  = time.Minute
)

// minInterval keeps a source from being asked all the time.
const minInterval = time.Second

// Source is a repository whose plans are applied.
type Source struct {
	// Name is a single key segment.
	Name                string `json:"name"`
	repository.Location `json:",inline"`
	// Interval is about how often the repository is looked at (1m), and Timeout how long one look may take (1m).
	Interval string `json:"interval,omitempty"`
	Timeout  string `json:"timeout,omitempty"`
	// Prune says whether a plan that left the repository is deleted; nil: it is.
	Prune *bool `json:"prune,omitempty"`
	// WebhookSecretFile holds what a webhook for this source is signed with; empty: there is none.
	WebhookSecretFile string `json:"webhookSecretFile,omitempty"`
}

// public is the source without what only concerns the machine that reads it.
func (s Source) public() Source {
	s.Auth, s.WebhookSecretFile = repository.Auth{}, ""
	return s
}

func (s Source) prunes() bool { return s.Prune == nil || *s.Prune }

// duration reads one of a valid source.
func duration(text string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return otherwise
}

// Validate says what is wrong with sources; at is where they stand.
func Validate(sources []Source, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	first := map[string]bool{}
	for i, s := range sources {
		if first[s.Name] {
			errs = append(errs, field.Duplicate(at.Index(i).Child("name"), s.Name))
		}
		first[s.Name] = true
		errs = append(errs, s.validate(at.Index(i))...)
	}
	return errs
}

func (s Source) validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if !names.Segment(s.Name) {
		errs = append(errs, field.Invalid(at.Child("name"), s.Name, names.SegmentRule))
	}
	errs = append(errs, s.validateURL(at)...)
	errs = append(errs, validateRef(s.Ref, at.Child("ref"))...)
	if s.Path != "" && (path.Clean("/"+s.Path) != "/"+s.Path || s.Path == ".") {
		errs = append(errs, field.Invalid(at.Child("path"), s.Path, "must be a folder's path from the root of the repository, "+
			"as clusters/eu, without / at its ends and without . and .."))
	}
	for name, text := range map[string]string{"interval": s.Interval, "timeout": s.Timeout} {
		if d, err := time.ParseDuration(text); text != "" && (err != nil || d < minInterval) {
			errs = append(errs, field.Invalid(at.Child(name), text, "must be a duration of at least 1s, as 30s, 5m or 1h"))
		}
	}
	return append(errs, validateVerify(s.Location, at.Child("verify"))...)
}

// validateURL judges the address and the credentials, which depend on it.
func (s Source) validateURL(at *field.Path) field.ErrorList {
	const must = "must be https://host/path, ssh://user@host/path or file:///path"
	u, err := url.Parse(s.URL)
	if err != nil {
		return field.ErrorList{field.Invalid(at.Child("url"), "…", must)}
	}
	var errs field.ErrorList
	_, password := u.User.Password()
	switch {
	case s.URL == "":
		errs = append(errs, field.Required(at.Child("url"), must))
	case password || u.User != nil && u.Scheme == "https":
		errs = append(errs, field.Invalid(at.Child("url"), u.Redacted(),
			"must hold no credentials: these stand in a file, which auth.tokenFile names"))
	case u.Scheme == "file" && u.Host == "" && path.IsAbs(u.Path):
	case (u.Scheme == "https" || u.Scheme == "ssh") && u.Host != "" && len(u.Path) > 1:
	default:
		errs = append(errs, field.Invalid(at.Child("url"), u.Redacted(), must))
	}
	auth := at.Child("auth")
	if u.Scheme == "ssh" {
		if s.Auth.SSHKeyFile == "" {
			errs = append(errs, field.Required(auth.Child("sshKeyFile"), "a private key, for ssh"))
		}
		if s.Auth.KnownHostsFile == "" {
			errs = append(errs, field.Required(auth.Child("knownHostsFile"), "the keys of the host, for ssh: they are always checked"))
		}
	}
	for _, f := range []struct{ name, value, scheme string }{
		{"username", s.Auth.Username, "https"}, {"tokenFile", s.Auth.TokenFile, "https"}, {"caFile", s.Auth.CAFile, "https"},
		{"sshKeyFile", s.Auth.SSHKeyFile, "ssh"}, {"knownHostsFile", s.Auth.KnownHostsFile, "ssh"},
	} {
		if f.value != "" && u.Scheme != f.scheme {
			errs = append(errs, field.Invalid(auth.Child(f.name), f.value, "may only be given for "+f.scheme+"://"))
		}
	}
	return errs
}

func validateRef(ref repository.Ref, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	var given []string
	for _, f := range []struct{ name, value string }{
		{"branch", ref.Branch}, {"tag", ref.Tag}, {"semver", ref.SemVer}, {"commit", ref.Commit},
	} {
		if f.value != "" {
			given = append(given, f.name)
		}
	}
	if len(given) > 1 {
		errs = append(errs, field.Invalid(at, strings.Join(given, ", "), "must be one of branch, tag, semver and commit"))
	}
	if ref.SemVer != "" {
		if _, err := semver.NewConstraint(ref.SemVer); err != nil {
			errs = append(errs, field.Invalid(at.Child("semver"), ref.SemVer, "must be a range of versions, as >=1.2.0 <2.0.0 or 1.x"))
		}
	}
	if ref.Commit != "" && (len(ref.Commit) != 40 || strings.Trim(ref.Commit, "0123456789abcdef") != "") {
		errs = append(errs, field.Invalid(at.Child("commit"), ref.Commit, "must be the whole hash, 40 hexadecimal digits in lower case"))
	}
	return errs
}

func validateVerify(l repository.Location, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch v := l.Verify; {
	case v.Object != "" && v.Object != repository.VerifyCommit && v.Object != repository.VerifyTag:
		errs = append(errs, field.NotSupported(at.Child("object"), v.Object, []string{repository.VerifyCommit, repository.VerifyTag}))
	case v.Object == repository.VerifyTag && l.Ref.Tag == "" && l.Ref.SemVer == "":
		errs = append(errs, field.Invalid(at.Child("object"), v.Object, "may only be given with ref.tag or ref.semver"))
	case v.Object != "" && !v.Wanted():
		errs = append(errs, field.Required(at, "openPGPKeys or allowedSigners: files with the keys that may sign"))
	}
	return errs
}

// String is for people: where the plans come from.
func (s Source) String() string {
	text := s.URL
	for _, f := range []struct{ name, value string }{
		{"branch ", s.Ref.Branch}, {"tag ", s.Ref.Tag}, {"tags ", s.Ref.SemVer}, {"commit ", s.Ref.Commit}, {"path ", s.Path},
	} {
		if f.value != "" {
			text += fmt.Sprintf(", %s%s", f.name, f.value)
		}
	}
	return text
}
