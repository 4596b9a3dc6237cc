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
	ssh := func(s *gitsync.Source) {
		s.URL, s.Auth = "ssh://git@example.com/fleet.git", repository.Auth{SSHKeyFile: "k", KnownHostsFile: "h"}
	}
	url := func(text string) func(*gitsync.Source) { return func(s *gitsync.Source) { s.URL = text } }
	path := func(text string) func(*gitsync.Source) { return func(s *gitsync.Source) { s.Path = text } }
	commit := func(text string) func(*gitsync.Source) { return func(s *gitsync.Source) { s.Ref.Commit = text } }
	hash := strings.Repeat("0123456789", 4)
	const folder, credentials, of = "path of a folder", "not contain credentials", "only be set for "
	for _, tc := range []struct {
		change func(*gitsync.Source)
		want   string
	}{
		{func(*gitsync.Source) {}, ""},
		{func(s *gitsync.Source) { s.Auth = repository.Auth{Username: "u", TokenFile: "t", CAFile: "c"} }, ""},
		{func(s *gitsync.Source) { s.Interval, s.Timeout, s.Path, s.Ref.Branch = "1s", "1h", "a/b", "main" }, ""},
		{func(s *gitsync.Source) {
			s.Ref.SemVer, s.Verify = ">=1.2 <2", repository.Verify{Object: "Tag", OpenPGPKeys: []string{"k"}}
		}, ""},
		{ssh, ""},
		{url("file:///srv/fleet.git"), ""},
		{commit(hash), ""},
		{func(s *gitsync.Source) { s.Name = "a/b" }, at + "name: Inv"},
		{func(s *gitsync.Source) { s.Name = "" }, at + "name: Inv"},
		{url(""), at + "url: Req"},
		{url("git@example.com:fleet.git"), at + "url: Inv"},
		{url("https://git.example.com/%zz"), at + "url: Inv"},
		{url("http://git.example.com/fleet.git"), "must be https://"},
		{url("https://git.example.com"), "must be https://"},
		{url("https:///fleet.git"), "must be https://"},
		{url("file://host/fleet.git"), "must be https://"},
		{url("file:fleet.git"), "must be https://"},
		{url("https://a:b@git.example.com/fleet.git"), credentials},
		{url("https://token@git.example.com/fleet.git"), credentials},
		{func(s *gitsync.Source) { ssh(s); s.URL = "ssh://git:b@example.com/fleet.git" }, credentials},
		{func(s *gitsync.Source) { ssh(s); s.Auth.SSHKeyFile = "" }, "auth.sshKeyFile: Required"},
		{func(s *gitsync.Source) { ssh(s); s.Auth.KnownHostsFile = "" }, "auth.knownHostsFile: Required"},
		{func(s *gitsync.Source) { s.Auth.SSHKeyFile = "k" }, at + "auth.sshKeyFile: Inv"},
		{func(s *gitsync.Source) { s.Auth.KnownHostsFile = "k" }, of + "ssh://"},
		{func(s *gitsync.Source) { ssh(s); s.Auth.Username = "k" }, at + "auth.username: Inv"},
		{func(s *gitsync.Source) { ssh(s); s.Auth.CAFile = "k" }, at + "auth.caFile: Inv"},
		{func(s *gitsync.Source) { s.URL = "file:///srv/fleet.git"; s.Auth.TokenFile = "k" }, of + "https://"},
		{path("../x"), folder},
		{path("x/"), folder},
		{path("/x"), folder},
		{path("x//y"), folder},
		{path("."), folder},
		{func(s *gitsync.Source) { s.Ref.Branch, s.Ref.Tag = "a", "b" }, "set only one of branch, tag"},
		{func(s *gitsync.Source) { s.Ref.SemVer, s.Ref.Commit = "1.x", hash }, at + "ref: Invalid"},
		{func(s *gitsync.Source) { s.Ref.SemVer = "newest" }, at + "ref.semver: "},
		{commit("abc123"), at + "ref.commit: "},
		{commit(strings.Repeat("A", 40)), at + "ref.commit: "},
		{func(s *gitsync.Source) { s.Interval = "soon" }, at + "interval: "},
		{func(s *gitsync.Source) { s.Interval = "-1h" }, at + "interval: "},
		{func(s *gitsync.Source) { s.Timeout = "1ms" }, at + "timeout: "},
		{func(s *gitsync.Source) { s.Verify = repository.Verify{Object: "Tree", AllowedSigners: []string{"k"}} }, at + "verify.object: Unsupported"},
		{func(s *gitsync.Source) { s.Verify = repository.Verify{Object: "Tag", AllowedSigners: []string{"k"}} }, "with ref.tag or ref.semver"},
		{func(s *gitsync.Source) { s.Verify.Object = "Commit" }, at + "verify: Required"},
		{func(s *gitsync.Source) { s.Verify.AllowRewind = true }, at + "verify: Required"},
	} {
		s := https(tc.change)
		errs := gitsync.Validate([]gitsync.Source{s}, field.NewPath("sources"))
		text := ""
		if err := errs.ToAggregate(); err != nil {
			text = err.Error()
		}
		if (len(errs) == 0) != (tc.want == "") || len(errs) > 1 || !strings.Contains(text, tc.want) {
			t.Errorf("%+v:\ngot %s\nwant %s", s, text, tc.want)
		}
		if strings.Contains(text, ":b@") || strings.Contains(text, "token@") {
			t.Errorf("error contains the password: %s", text)
		}
	}
	twice := gitsync.Validate([]gitsync.Source{https(func(*gitsync.Source) {}), https(func(*gitsync.Source) {})}, field.NewPath("sources"))
	if len(twice) != 1 || twice[0].Field != "sources[1].name" {
		t.Errorf("duplicate name: %v", twice)
	}
}
