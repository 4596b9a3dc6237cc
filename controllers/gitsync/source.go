// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

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

// minInterval protects the Git server.
const minInterval = time.Second

// Source configures a repository whose plans are applied.
type Source struct {
	// Name is a single key segment.
	Name                string `json:"name"`
	repository.Location `json:",inline"`
	// Interval is the approximate time between two reads of the repository, as a Go duration. Empty means DefaultInterval.
	Interval string `json:"interval,omitempty"`
	// Timeout limits one read. Empty means DefaultTimeout.
	Timeout string `json:"timeout,omitempty"`
	// Prune deletes plans that left the repository. Nil means true.
	Prune *bool `json:"prune,omitempty"`
	// WebhookSecretFile contains the secret that signs the webhooks of this source. Empty disables webhooks.
	WebhookSecretFile string `json:"webhookSecretFile,omitempty"`
}

// public returns the source without credentials and the names of local files.
func (s Source) public() Source {
	s.Auth, s.WebhookSecretFile = repository.Auth{}, ""
	return s
}

func (s Source) prunes() bool { return s.Prune == nil || *s.Prune }

func (s Source) timeout() time.Duration { return duration(s.Timeout, DefaultTimeout) }

// RequestTimeout returns how long the leader may take to handle a request: a read that is under way, another one, and the writes.
func (s Source) RequestTimeout() time.Duration { return 2*s.timeout() + time.Minute }

func (s Source) interval() time.Duration { return duration(s.Interval, DefaultInterval) }

// duration parses a duration of a source, or returns the fallback if there is none.
func duration(text string, fallback time.Duration) time.Duration {
	if d, err := time.ParseDuration(text); err == nil {
		return d
	}
	return fallback
}

// Validate returns all errors of the sources. The path at is that of the list.
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
		errs = append(errs, field.Invalid(at.Child("path"), s.Path, "must be the path of a folder relative to the root of the repository, "+
			"such as clusters/eu, without a leading or trailing / and without . or .."))
	}
	for name, text := range map[string]string{"interval": s.Interval, "timeout": s.Timeout} {
		if d, err := time.ParseDuration(text); text != "" && (err != nil || d < minInterval) {
			errs = append(errs, field.Invalid(at.Child(name), text, "must be a duration of at least 1s, such as 30s, 5m or 1h"))
		}
	}
	return append(errs, validateVerify(s.Location, at.Child("verify"))...)
}

// validateURL validates the URL, and the credentials, which depend on its scheme.
func (s Source) validateURL(at *field.Path) field.ErrorList {
	const must = "must be https://host/path, ssh://user@host/path or file:///path"
	u, err := url.Parse(s.URL)
	if err != nil {
		return field.ErrorList{field.Invalid(at.Child("url"), "…", must)}
	}
	var errs field.ErrorList
	_, password := u.User.Password()
	shown := *u
	if u.User != nil && u.Scheme != "ssh" { // the user can be a token
		shown.User = url.User("xxxxx")
	}
	switch {
	case s.URL == "":
		errs = append(errs, field.Required(at.Child("url"), must))
	case password || u.User != nil && u.Scheme == "https":
		errs = append(errs, field.Invalid(at.Child("url"), shown.Redacted(),
			"must not contain credentials; put the token into a file and set auth.tokenFile"))
	case u.Scheme == "file" && u.Host == "" && path.IsAbs(u.Path):
	case (u.Scheme == "https" || u.Scheme == "ssh") && u.Host != "" && len(u.Path) > 1:
	default:
		errs = append(errs, field.Invalid(at.Child("url"), shown.Redacted(), must))
	}
	auth := at.Child("auth")
	if u.Scheme == "ssh" {
		if s.Auth.SSHKeyFile == "" {
			errs = append(errs, field.Required(auth.Child("sshKeyFile"), "ssh needs a private key"))
		}
		if s.Auth.KnownHostsFile == "" {
			errs = append(errs, field.Required(auth.Child("knownHostsFile"), "ssh always verifies the key of the host"))
		}
	}
	for _, f := range []struct{ name, value, scheme string }{
		{"username", s.Auth.Username, "https"}, {"tokenFile", s.Auth.TokenFile, "https"}, {"caFile", s.Auth.CAFile, "https"},
		{"sshKeyFile", s.Auth.SSHKeyFile, "ssh"}, {"knownHostsFile", s.Auth.KnownHostsFile, "ssh"},
	} {
		if f.value != "" && u.Scheme != f.scheme {
			errs = append(errs, field.Invalid(auth.Child(f.name), f.value, "can only be set for "+f.scheme+"://"))
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
		errs = append(errs, field.Invalid(at, strings.Join(given, ", "), "set only one of branch, tag, semver and commit"))
	}
	if ref.SemVer != "" {
		if _, err := semver.NewConstraint(ref.SemVer); err != nil {
			errs = append(errs, field.Invalid(at.Child("semver"), ref.SemVer, "must be a range of versions, such as >=1.2.0 <2.0.0 or 1.x"))
		}
	}
	if ref.Commit != "" && !repository.IsHash(ref.Commit) {
		errs = append(errs, field.Invalid(at.Child("commit"), ref.Commit, "must be the full hash: 40 lowercase hexadecimal digits"))
	}
	return errs
}

func validateVerify(l repository.Location, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch v := l.Verify; {
	case v.Object != "" && v.Object != repository.VerifyCommit && v.Object != repository.VerifyTag:
		errs = append(errs, field.NotSupported(at.Child("object"), v.Object, []string{repository.VerifyCommit, repository.VerifyTag}))
	case v.Object == repository.VerifyTag && l.Ref.Tag == "" && l.Ref.SemVer == "":
		errs = append(errs, field.Invalid(at.Child("object"), v.Object, "can only be set with ref.tag or ref.semver"))
	case (v.Object != "" || v.AllowRewind) && !v.Enabled():
		errs = append(errs, field.Required(at, "set openPGPKeys or allowedSigners to files with the keys that may sign"))
	}
	return errs
}

// String describes where the plans come from.
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
