// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
)

// configKind is the value of the field kind.
const configKind = "ControllerConfig"

// config is the file of --config. Empty fields leave the values to the flags.
type config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`

	Consul                 consulConfig `json:"consul"`
	MinGap                 string       `json:"minGap"`
	Resync                 string       `json:"resync"`
	HealthProbeBindAddress string       `json:"healthProbeBindAddress"`
	MetricsBindAddress     string       `json:"metricsBindAddress"`
	DashboardBindAddress   string       `json:"dashboardBindAddress"`
	WebhookBindAddress     string       `json:"webhookBindAddress"`
	// Serving are the options of all HTTP endpoints.
	Serving servingConfig `json:"serving"`
	Log     logConfig     `json:"log"`
	// Sources are the repositories of plans to apply.
	Sources []gitsync.Source `json:"sources"`
}

// consulConfig selects a Consul. It has no token, since many users can read such a file.
type consulConfig struct {
	Address    string `json:"address"`
	Datacenter string `json:"datacenter"`
	Namespace  string `json:"namespace"`
	TokenFile  string `json:"tokenFile"`
	CAFile     string `json:"caFile"`
	ClientCert string `json:"clientCert"`
	ClientKey  string `json:"clientKey"`
	// Login is a source of the token. It takes precedence over TokenFile.
	Login loginConfig `json:"login"`
}

// loginConfig selects an auth method of Consul.
type loginConfig struct {
	AuthMethod      string `json:"authMethod"`
	BearerTokenFile string `json:"bearerTokenFile"`
}

// servingConfig configures all HTTP endpoints.
type servingConfig struct {
	AllowedHosts          []string `json:"allowedHosts"`
	CertFile              string   `json:"certFile"`
	KeyFile               string   `json:"keyFile"`
	ClientCAFile          string   `json:"clientCAFile"`
	TokenFile             string   `json:"tokenFile"`
	ConnectionsPerAddress int      `json:"connectionsPerAddress"`
}

type logConfig struct {
	Format    string `json:"format"`
	Verbosity int    `json:"verbosity"`
}

// setting is a field of the file, the flag that it sets, and its value.
type setting struct{ field, flag, value string }

func (c *config) settings() []setting {
	return []setting{
		{"consul.address", "http-addr", c.Consul.Address},
		{"consul.datacenter", "datacenter", c.Consul.Datacenter},
		{"consul.namespace", "namespace", c.Consul.Namespace},
		{"consul.tokenFile", "token-file", c.Consul.TokenFile},
		{"consul.caFile", "ca-file", c.Consul.CAFile},
		{"consul.clientCert", "client-cert", c.Consul.ClientCert},
		{"consul.clientKey", "client-key", c.Consul.ClientKey},
		{"consul.login.authMethod", "login-auth-method", c.Consul.Login.AuthMethod},
		{"consul.login.bearerTokenFile", "login-bearer-token-file", c.Consul.Login.BearerTokenFile},
		{"minGap", "min-gap", c.MinGap},
		{"resync", "resync", c.Resync},
		{"healthProbeBindAddress", healthFlag, c.HealthProbeBindAddress},
		{"metricsBindAddress", metricsFlag, c.MetricsBindAddress},
		{"dashboardBindAddress", dashboardFlag, c.DashboardBindAddress},
		{"webhookBindAddress", webhookFlag, c.WebhookBindAddress},
		{"log.format", "log-format", c.Log.Format},
		{"log.verbosity", "verbosity", number(c.Log.Verbosity)},
		{"serving.allowedHosts", allowedHostsFlag, strings.Join(c.Serving.AllowedHosts, ",")},
		{"serving.certFile", certFlag, c.Serving.CertFile},
		{"serving.keyFile", keyFlag, c.Serving.KeyFile},
		{"serving.clientCAFile", clientCAFlag, c.Serving.ClientCAFile},
		{"serving.tokenFile", tokenFlag, c.Serving.TokenFile},
		{"serving.connectionsPerAddress", connectionsFlag, number(c.Serving.ConnectionsPerAddress)},
	}
}

// number returns the value of a flag. It is empty for 0, which leaves the value to the flag.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// load reads the file and sets the flags that the command line does not. It reports all errors in the file, also in fields
// that a flag overrides.
func load(path string, f *pflag.FlagSet) (*config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	c, err := decode(path, data)
	if err != nil {
		return nil, err
	}
	given := map[string]bool{}
	f.Visit(func(flag *pflag.Flag) { given[flag.Name] = true })
	given["token-file"] = given["token-file"] || given["token"] // a token file would take precedence over the token
	given["login-auth-method"] = given["login-auth-method"] || given["token-file"]
	for _, s := range c.settings() {
		if s.value == "" || given[s.flag] {
			continue
		}
		if err := f.Set(s.flag, s.value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, s.field, err)
		}
	}
	return c, nil
}

// decode reads the file. Errors name the source, and are strictyaml.Errors.
func decode(source string, data []byte) (*config, error) {
	documents, errs := strictyaml.Read(source, data)
	if len(errs) > 0 {
		return nil, errs
	}
	if len(documents) > 1 {
		return nil, &strictyaml.Error{Source: source, Line: documents[1].Line, Detail: "must be the only document of the file"}
	}
	d, c := documents[0], &config{}
	if errs := d.Identify(v1alpha1.APIVersion, configKind); len(errs) > 0 {
		return nil, errs
	}
	if errs := d.Decode(c, strictyaml.Options{Hint: hint}); len(errs) > 0 {
		return nil, errs
	}
	return c, d.Locate(c.validate()).Err()
}

// hint explains an unknown field.
func hint(name string) string {
	if name == "token" {
		return "Write the token to a file of its own, and set consul.tokenFile"
	}
	return ""
}

func (c *config) validate() field.ErrorList {
	var errs field.ErrorList
	validators := validators()
	for _, s := range c.settings() {
		if validate := validators[s.flag]; validate != nil && s.value != "" {
			if err := validate(s.value); err != nil {
				errs = append(errs, field.Invalid(field.NewPath(s.field), s.value, err.Error()))
			}
		}
	}
	return append(errs, gitsync.Validate(c.Sources, field.NewPath("sources"))...)
}
