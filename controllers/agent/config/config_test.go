// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/agent/config"
)

const head = "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: AgentConfig\n"

func TestDefault_PipelineIsPuppet(t *testing.T) {
	want := config.Pipeline{Puppet: &config.Puppet{Mode: "apply", Path: "puppet", Manifest: "/etc/puppet/manifests/site.pp"}}
	decoded, err := config.Decode("a.yaml", []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]config.Config{"no file": config.Default(), "a file without a pipeline": decoded} {
		if diff := cmp.Diff(want, c.Pipeline); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	other, err := config.Decode("a.yaml", []byte(head+"pipeline: {apt: {}}\n"))
	if err != nil || other.Pipeline.Puppet != nil || other.Pipeline.Apt == nil {
		t.Errorf("another step alone: %+v %v", other.Pipeline, err)
	}
}

func TestDecode_Sample(t *testing.T) {
	data, err := os.ReadFile("../../../config/agent/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../../config/agent/fleet.sources.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	template := filepath.Join(t.TempDir(), "fleet.sources.tmpl")
	if err := os.WriteFile(template, text, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := config.Decode("config.yaml", []byte(strings.Replace(string(data), "/etc/upgrade-agent/fleet.sources.tmpl", template, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Pipeline.Validation.Names != config.DefaultNames || c.Pipeline.Apt.Timeout.Or(0) != time.Hour || c.Commands["clear-cache"].User != "nobody" {
		t.Errorf("decoded %+v", c)
	}
}

func TestDecode_ReportsAllErrorsWithFileLineAndField(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.tmpl")
	if err := os.WriteFile(broken, []byte("URIs: {{.Verzion}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open.tmpl")
	if err := errors.Join(os.WriteFile(open, []byte("Types: deb"), 0o600), os.Chmod(open, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"another kind", "apiVersion: v1\nkind: UpgradePlan\n",
			"c.yaml:1: apiVersion: must be upgrade.jiocloud.com/v1alpha1, not \"v1\"\n" +
				"c.yaml:2: kind: must be AgentConfig, not \"UpgradePlan\""},
		{"two documents", head + "---\n" + head, "c.yaml:4: must be the only document of the file"},
		{"an unknown field", head + "pipeline:\n  pupet: {}\n",
			"c.yaml:4: pipeline.pupet: unknown field, did you mean puppet? Allowed: apt, facts, preHook, puppet, sources, validation"},
		{"wrong types", head + "interval: 5\ninhibitShutdown: yes\n",
			"c.yaml:3: interval: must be a string; quote it: \"5\"\n" +
				"c.yaml:4: inhibitShutdown: must be true or false, not \"yes\""},
		{"a duration without quotes", head + "interval: soon\njitter: -1s\npipeline:\n  apt: {timeout: 1}\n", "c.yaml:6: pipeline.apt.timeout: must be a string"},
		{"invalid durations", head + "interval: soon\njitter: -1s\nchecks: {ttl: 1ms}\n",
			"c.yaml:3: interval: Invalid value: \"soon\": must be a duration such as 90s, 10m or 2h\n" +
				"c.yaml:4: jitter: Invalid value: \"-1s\": must be 0s or more\n" +
				"c.yaml:5: checks.ttl: Invalid value: \"1ms\": must be 1s or more"},
		{"an invalid name", head + "hostname: a/b\nrole: ' '\nprefix: /eu\nversionFile: current\n",
			"c.yaml:3: hostname: Invalid value: \"a/b\": must consist of letters"},
		{"an unknown mode", head + "pipeline:\n  puppet:\n    mode: noop\n", `c.yaml:5: pipeline.puppet.mode: Unsupported value: "noop": supported values: "apply", "agent"`},
		{"a manifest with mode agent", head + "pipeline:\n  puppet:\n    mode: agent\n    manifest: /x\n", "c.yaml:6: pipeline.puppet.manifest: "},
		{"paths", head + "pipeline:\n  preHook: {path: drain}\n  validation: {names: '('}\n",
			"c.yaml:4: pipeline.preHook.path: Invalid value: \"drain\": must be an absolute path\n" +
				"c.yaml:5: pipeline.validation.directory: Required value: an absolute path\n" +
				"c.yaml:5: pipeline.validation.names: Invalid value: \"(\": must be a regular expression (RE2): missing closing ): `(`"},
		{"a missing template", head + "pipeline:\n  sources: {path: /x, template: /no/such/file}\n",
			"c.yaml:4: pipeline.sources.template: Invalid value: \"/no/such/file\": no such file or directory"},
		{"a template with an unknown field", head + "pipeline:\n  sources: {path: /x, template: " + broken + "}\n", "can't evaluate field Verzion"},
		{"a template that others can change", head + "pipeline:\n  sources: {path: /x, template: " + open + "}\n",
			open + ": mode 0666, owner "},
		{"an unknown user", head + "trust: {users: [root, no-one], groups: [none]}\n",
			"c.yaml:3: trust.users[1]: Invalid value: \"no-one\": must be a user or a group of this system\n" +
				"c.yaml:3: trust.groups[0]: Invalid value: \"none\""},
		{"the name of a command", head + "commands:\n  a/b: {path: /x}\n  c: {path: /x, args: ['', 'a)|(b']}\n",
			"c.yaml:4: commands[a/b]: Invalid value: \"a/b\": the name of a command must consist of letters"},
		{"privileges without a user", head + "commands:\n  c: {path: /x, gainPrivileges: true}\n",
			"c.yaml:4: commands[c].gainPrivileges: Invalid value: true: needs user: without it the command has the privileges of the agent"},
		{"patterns of arguments", head + "commands:\n  c: {path: /x, args: ['', 'a)|(b']}\n",
			"c.yaml:4: commands[c].args[0]: Required value: a pattern for the argument, such as now|[0-9]+\n" +
				"c.yaml:4: commands[c].args[1]: Invalid value: \"a)|(b\": must be a regular expression (RE2): unexpected ): `a)|(b`"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Decode("c.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}
