// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
)

// configKind is what the file says in its field kind.
const configKind = "ControllerConfig"

// config is the file that --config names. What is empty is left to the flags.
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
	Log                    logConfig    `json:"log"`
	// Sources are the repositories whose plans are applied.
	Sources []gitsync.Source `json:"sources"`
}

// consulConfig says which Consul is meant. There is no token in it: such a file is read by many.
type consulConfig struct {
	Address    string `json:"address"`
	Datacenter string `json:"datacenter"`
	Namespace  string `json:"namespace"`
	TokenFile  string `json:"tokenFile"`
	CAFile     string `json:"caFile"`
	ClientCert string `json:"clientCert"`
	ClientKey  string `json:"clientKey"`
}

type logConfig struct {
	Format    string `json:"format"`
	Verbosity int    `json:"verbosity"`
}

// setting is a field of the file and the flag that it stands for.
type setting struct{ field, flag, value string }

func (c *config) settings() []setting {
	verbosity := ""
	if c.Log.Verbosity != 0 {
		verbosity = strconv.Itoa(c.Log.Verbosity)
	}
	return []setting{
		{"consul.address", "http-addr", c.Consul.Address},
		{"consul.datacenter", "datacenter", c.Consul.Datacenter},
		{"consul.namespace", "namespace", c.Consul.Namespace},
		{"consul.tokenFile", "token-file", c.Consul.TokenFile},
		{"consul.caFile", "ca-file", c.Consul.CAFile},
		{"consul.clientCert", "client-cert", c.Consul.ClientCert},
		{"consul.clientKey", "client-key", c.Consul.ClientKey},
		{"minGap", "min-gap", c.MinGap},
		{"resync", "resync", c.Resync},
		{"healthProbeBindAddress", healthFlag, c.HealthProbeBindAddress},
		{"metricsBindAddress", metricsFlag, c.MetricsBindAddress},
		{"dashboardBindAddress", dashboardFlag, c.DashboardBindAddress},
		{"webhookBindAddress", webhookFlag, c.WebhookBindAddress},
		{"log.format", "log-format", c.Log.Format},
		{"log.verbosity", "verbosity", verbosity},
	}
}

// load reads the file and sets the flags that were not given. All that is wrong in the file is an error, also where a
// flag goes before it.
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
	given["token-file"] = given["token-file"] || given["token"] // the file would go before the token
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

// decode reads the file; source is its name in errors, which are strict.Errors.
func decode(source string, data []byte) (*config, error) {
	documents, errs := strictyaml.Read(source, data)
	if len(errs) > 0 {
		return nil, errs
	}
	if len(documents) > 1 {
		return nil, &strictyaml.Error{Source: source, Line: documents[1].Line, Detail: "is a second document: there may be one"}
	}
	d, c := documents[0], &config{}
	if errs := d.Identify(v1alpha1.APIVersion, configKind); len(errs) > 0 {
		return nil, errs
	}
	if errs := d.Decode(c, hint); len(errs) > 0 {
		return nil, errs
	}
	return c, d.Locate(c.validate()).Err()
}

// hint tells who looks for a place for the token.
func hint(name string) string {
	if name == "token" {
		return "A token stands in a file of its own, which consul.tokenFile names"
	}
	return ""
}

func (c *config) validate() field.ErrorList {
	var errs field.ErrorList
	rules := rules()
	for _, s := range c.settings() {
		if rule := rules[s.flag]; rule != nil && s.value != "" {
			if err := rule(s.value); err != nil {
				errs = append(errs, field.Invalid(field.NewPath(s.field), s.value, err.Error()))
			}
		}
	}
	return append(errs, gitsync.Validate(c.Sources, field.NewPath("sources"))...)
}
