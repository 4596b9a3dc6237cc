// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

const head = "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: ControllerConfig\n"

// loaded returns the options from flags and a file.
func loaded(t *testing.T, text string, args ...string) (*options, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, f := &options{}, pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.bind(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	_, err := load(path, f)
	return o, err
}

func want(t *testing.T, o *options, want options) {
	t.Helper()
	ignored := cmpopts.IgnoreFields(consul.Config{}, "Observe")
	if d := cmp.Diff(&want, o, cmp.AllowUnexported(options{}, bindAddresses{}, serving{}), ignored); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func defaults() options {
	o := options{}
	o.bind(pflag.NewFlagSet("test", pflag.ContinueOnError))
	return o
}

func TestConfig_SampleSetsAllFields(t *testing.T) {
	sample, err := os.ReadFile("../../../config/controller/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o, err := loaded(t, string(sample))
	if err != nil {
		t.Fatal(err)
	}
	want(t, o, options{
		consul: consul.Config{Address: "https://127.0.0.1:8501", Datacenter: "dc1", TokenFile: "/etc/upgrade-controller/token",
			CAFile: "/etc/consul.d/ca.pem", ClientCert: "/etc/upgrade-controller/client.pem",
			ClientKey: "/etc/upgrade-controller/client-key.pem"},
		log: flags.Log{Format: "console", Verbosity: 1}, minGap: time.Second, resync: 5 * time.Minute,
		bindAddress: bindAddresses{health: "127.0.0.1:8081", metrics: "127.0.0.1:8080", dashboard: "127.0.0.1:8082", webhook: "0"},
		serving: serving{allowedHosts: []string{"upgrades.example.com", "ctl1"}, connections: 100,
			access: httpserver.Access{CertFile: "/etc/upgrade-controller/serving.pem", KeyFile: "/etc/upgrade-controller/serving-key.pem",
				ClientCAFile: "/etc/upgrade-controller/clients-ca.pem", TokenFile: "/etc/upgrade-controller/serving-token"}},
		source: gitsync.Source{Interval: "1m0s"},
	})
	c, err := decode("config.yaml", sample)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.settings() {
		left := s.field == "consul.namespace" || strings.HasPrefix(s.field, "consul.login.")
		if (s.value == "") != left {
			t.Errorf("the sample has %q for %s", s.value, s.field)
		}
	}
}

func TestConfig_SampleWithSources(t *testing.T) {
	sample, err := os.ReadFile("../../../config/samples/gitops/controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := decode("controller.yaml", sample)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sources) != 2 || c.Sources[0].Ref.SemVer != ">=1.0.0 <2.0.0" || c.Sources[1].Auth.KnownHostsFile == "" || *c.Sources[1].Prune {
		t.Errorf("%+v", c.Sources)
	}
}

func TestConfig_InvalidSources(t *testing.T) {
	for text, want := range map[string]string{
		"sources: [{name: a, url: 'http://x/y'}]":                                "config.yaml:3: sources[0].url: Invalid value",
		"sources:\n- name: a\n  url: https://x/y\n  auth: {token: x}":            "sources[0].auth.token: unknown field",
		"sources:\n- {name: a, url: https://x/y}\n- {name: a, url: https://x/y}": "config.yaml:5: sources[1].name: Duplicate",
	} {
		if _, err := loaded(t, head+text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestFlags_DefineASource(t *testing.T) {
	for args, want := range map[string]string{
		"--git-url file:///srv/a.git --git-branch main --git-path plans --git-interval 5m": "",
		"--git-branch main":                         "--git-branch and --git-path need --git-url",
		"--git-url http://x/y":                      "must be https://",
		"--git-url file:///srv/a.git --git-path /x": "git[0].path",
	} {
		o, f := &options{}, pflag.NewFlagSet("test", pflag.ContinueOnError)
		o.bind(f)
		if err := f.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		err := o.complete(f)
		if want == "" {
			if err != nil || len(o.sources) != 1 || o.sources[0].Name != "default" || o.sources[0].Ref.Branch != "main" {
				t.Errorf("%s: %v, %+v", args, err, o.sources)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestConfig_FlagsTakePrecedence(t *testing.T) {
	text := head + `consul: {address: "consul:8500", namespace: ops, tokenFile: /a/token, login: {authMethod: jwt, bearerTokenFile: /a/jwt}}
minGap: 2s
resync: 1h
metricsBindAddress: ":9000"
healthProbeBindAddress: "0"
log: {format: json}
`
	o, err := loaded(t, text)
	if err != nil {
		t.Fatal(err)
	}
	file := options{consul: consul.Config{Address: "consul:8500", Namespace: "ops", TokenFile: "/a/token",
		Login: consul.Login{AuthMethod: "jwt", BearerTokenFile: "/a/jwt"}},
		log: flags.Log{Format: "json"}, minGap: 2 * time.Second, resync: time.Hour,
		bindAddress: bindAddresses{health: off, metrics: ":9000", dashboard: "127.0.0.1:8082", webhook: "0"},
		serving:     serving{connections: 100}, source: gitsync.Source{Interval: "1m0s"}}
	want(t, o, file)
	// A flag with its default value takes precedence too.
	o, err = loaded(t, text, "--min-gap", "1s", "--token", "secret", "--log-format", "console", "--http-addr", "other:8500")
	if err != nil {
		t.Fatal(err)
	}
	file.minGap, file.log.Format = time.Second, "console"
	file.consul.Address, file.consul.TokenFile, file.consul.Token = "other:8500", "", "secret"
	file.consul.Login.AuthMethod = "" // a login would take precedence over the token
	want(t, o, file)
	o, err = loaded(t, head)
	if err != nil {
		t.Fatal(err)
	}
	want(t, o, defaults())
}

func TestConfig_ReportsErrorsWithFileLineAndField(t *testing.T) {
	for text, want := range map[string]string{
		"":                                          "config.yaml: contains no document",
		"kind: ControllerConfig":                    "config.yaml:1: apiVersion: is required; set it to upgrade.jiocloud.com/v1alpha1",
		strings.Replace(head, "Config", "", 1):      "config.yaml:2: kind: must be ControllerConfig, not \"Controller\"",
		head + "minGap: 0s":                         "config.yaml:3: minGap: Invalid value: \"0s\": must be a duration above 0",
		head + "resync: 5":                          "config.yaml:3: resync: must be a string",
		head + "resync: 5 minutes":                  "config.yaml:3: resync: Invalid value: \"5 minutes\": must be a duration above 0 such as 500ms",
		head + "resync: 5m\nresync: 5m":             "config.yaml:4: resync: is a duplicate; it was first set on line 3",
		head + "reSync: 5m":                         "config.yaml:3: reSync: unknown field, did you mean resync?",
		head + "consul:\n  token: x":                "config.yaml:4: consul.token: unknown field. Write the token to a file of its own",
		head + "consul:\n  address: ftp://x":        "config.yaml:4: consul.address: Invalid value: \"ftp://x\": must be host:port, http://…",
		head + "consul: x":                          "config.yaml:3: consul: must be a map",
		head + "metricsBindAddress: \"8080\"":       "config.yaml:3: metricsBindAddress: Invalid value: \"8080\": must be host:port",
		head + "healthProbeBindAddress: 0":          "config.yaml:3: healthProbeBindAddress: must be a string; quote it: \"0\"",
		head + "healthProbeBindAddress: a:b":        "config.yaml:3: healthProbeBindAddress: Invalid value: \"a:b\": must be host:port",
		head + "log:\n  format: xml":                "config.yaml:4: log.format: Invalid value: \"xml\": must be console or json",
		head + "log:\n  verbosity: 10":              "config.yaml:4: log.verbosity: Invalid value: \"10\": must be from 0 to 9",
		head + "serving:\n  allowedHosts: ['a:80']": "config.yaml:4: serving.allowedHosts: Invalid value: \"a:80\": \"a:80\" must be a DNS name",
		head + "---\n" + head:                       "config.yaml:4: must be the only document of the file",
		head + "minGap: [":                          "is not valid YAML or JSON",
	} {
		// An error is reported although a flag overrides the field.
		_, err := loaded(t, text, "--min-gap", "1s", "--metrics-bind-address", "0", "--dashboard-bind-address", "0")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	_, err := loaded(t, head+"minGap: 0s\nlog: {format: xml}")
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("want two errors: %v", err)
	}
}
