// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

func TestValidate(t *testing.T) {
	const at = "sources[0]."
	https := func(change func(*gitsync.Source)) gitsync.Source {
		s := gitsync.Source{Name: "a", Location: repository.Location{URL: "https://git.example.com/fleet.git"}}
		change(&s)
		return s
	}
	for want, s := range map[string]gitsync.Source{
		"":                                https(func(*gitsync.Source) {}),
		at + "name: ":                     https(func(s *gitsync.Source) { s.Name = "a/b" }),
		at + "url: Req":                   https(func(s *gitsync.Source) { s.URL = "" }),
		at + "url: Inv":                   https(func(s *gitsync.Source) { s.URL = "git@example.com:fleet.git" }),
		"must be https://":                https(func(s *gitsync.Source) { s.URL = "http://git.example.com/fleet.git" }),
		"not contain credentials":         https(func(s *gitsync.Source) { s.URL = "https://a:b@git.example.com/fleet.git" }),
		"auth.sshKeyFile: Required":       https(func(s *gitsync.Source) { s.URL = "ssh://git@example.com/fleet.git" }),
		"auth.knownHostsFile: Required":   https(func(s *gitsync.Source) { s.URL = "ssh://git@example.com/fleet.git"; s.Auth.SSHKeyFile = "k" }),
		"only be set for ssh://":          https(func(s *gitsync.Source) { s.Auth.SSHKeyFile = "k" }),
		"only be set for https://":        https(func(s *gitsync.Source) { s.URL = "file:///srv/fleet.git"; s.Auth.TokenFile = "k" }),
		at + "path: ":                     https(func(s *gitsync.Source) { s.Path = "../x" }),
		"without a leading or trailing /": https(func(s *gitsync.Source) { s.Path = "x/" }),
		"set only one of branch, tag":     https(func(s *gitsync.Source) { s.Ref.Branch, s.Ref.Tag = "a", "b" }),
		at + "ref.semver: ":               https(func(s *gitsync.Source) { s.Ref.SemVer = "newest" }),
		at + "ref.commit: ":               https(func(s *gitsync.Source) { s.Ref.Commit = "abc123" }),
		at + "interval: ":                 https(func(s *gitsync.Source) { s.Interval = "soon" }),
		at + "timeout: ":                  https(func(s *gitsync.Source) { s.Timeout = "1ms" }),
		at + "verify.object: Unsupported": https(func(s *gitsync.Source) { s.Verify.Object = "Tree" }),
		"with ref.tag or ref.semver":      https(func(s *gitsync.Source) { s.Verify.Object = "Tag" }),
		at + "verify: Required":           https(func(s *gitsync.Source) { s.Verify.Object = "Commit" }),
		at + "verify: Require":            https(func(s *gitsync.Source) { s.Verify.AllowRewind = true }),
	} {
		errs := gitsync.Validate([]gitsync.Source{s}, field.NewPath("sources"))
		if err := errs.ToAggregate(); err != nil {
			text := err.Error()
			if want == "" || !strings.Contains(text, want) {
				t.Errorf("got %s\nwant %s", text, want)
			}
			if strings.Contains(text, ":b@") {
				t.Errorf("error contains the password: %s", text)
			}
		} else if want != "" {
			t.Errorf("%s: got no error", want)
		}
	}
	twice := gitsync.Validate([]gitsync.Source{https(func(*gitsync.Source) {}), https(func(*gitsync.Source) {})}, field.NewPath("sources"))
	if len(twice) != 1 || twice[0].Field != "sources[1].name" {
		t.Errorf("duplicate name: %v", twice)
	}
}
