// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config is the configuration file of an agent: kind AgentConfig, read as strictly as plans are.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
)

// What a file says in its fields apiVersion and kind.
const (
	APIVersion = "upgrade.jiocloud.com/v1alpha1"
	Kind       = "AgentConfig"
)

// The defaults.
const (
	DefaultFacts    = "/etc/facter/facts.d/current_version.txt"
	DefaultManifest = "/etc/puppet/manifests/site.pp"
	DefaultTimeout  = time.Hour
	// DefaultNames are the names of scripts that run-parts takes.
	DefaultNames = "^[A-Za-z0-9_-]+$"
	// DefaultTTL is how long a check stands that nobody renews.
	DefaultTTL = time.Hour
)

// Config is the file. What a flag says goes before it.
type Config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`

	// Hostname and Role are those of this host; empty: see the flags.
	Hostname string `json:"hostname,omitempty"`
	Role     string `json:"role,omitempty"`
	// VersionFile holds the version that this host has. The journal and other state stand beside it.
	VersionFile string `json:"versionFile,omitempty"`
	// Prefix and RunningVersions say where the fleet's keys are, as spec.keys of the plan does.
	Prefix          string   `json:"prefix,omitempty"`
	RunningVersions string   `json:"runningVersions,omitempty"`
	Interval        Duration `json:"interval,omitempty"`
	Jitter          Duration `json:"jitter,omitempty"`
	Consul          Consul   `json:"consul,omitempty"`
	// Pipeline is how this host reaches a version. Without any step: Puppet alone.
	Pipeline Pipeline `json:"pipeline,omitempty"`
	// Commands are what spec.action of a plan may name.
	Commands map[string]Command `json:"commands,omitempty"`
	// Checks are kept at the local Consul agent; absent: none.
	Checks *Checks `json:"checks,omitempty"`
	// InhibitShutdown keeps the machine from shutting down while a step runs.
	InhibitShutdown bool `json:"inhibitShutdown,omitempty"`
}

// Consul says how to reach Consul. What is empty is taken from Consul's own environment variables.
type Consul struct {
	Address    string `json:"address,omitempty"`
	TokenFile  string `json:"tokenFile,omitempty"`
	CAFile     string `json:"caFile,omitempty"`
	ClientCert string `json:"clientCert,omitempty"`
	ClientKey  string `json:"clientKey,omitempty"`
	Datacenter string `json:"datacenter,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
}

// Pipeline is the steps, in the order in which they are run. One that is absent is left out.
type Pipeline struct {
	PreHook    *Hook       `json:"preHook,omitempty"`
	Facts      *Facts      `json:"facts,omitempty"`
	Sources    *Sources    `json:"sources,omitempty"`
	Apt        *Apt        `json:"apt,omitempty"`
	Puppet     *Puppet     `json:"puppet,omitempty"`
	Validation *Validation `json:"validation,omitempty"`
}

// Hook is a program.
type Hook struct {
	Path    string   `json:"path"`
	Args    []string `json:"args,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
}

// Facts is a file of facter's facts.d.
type Facts struct {
	Path string `json:"path,omitempty"`
}

// Sources is a template (Go's text/template) and the file that is made of it.
type Sources struct {
	Template string `json:"template"`
	Path     string `json:"path"`
}

// Apt is apt-get update and dist-upgrade.
type Apt struct {
	// Options are given to apt-get before all others.
	Options []string `json:"options,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
}

// Puppet is a run of Puppet.
type Puppet struct {
	// Mode is apply, which is also meant by nothing, or agent.
	Mode string `json:"mode,omitempty"`
	// Path is the program; empty: puppet, where PATH has it.
	Path string `json:"path,omitempty"`
	// Manifest is what is applied; with mode apply only.
	Manifest string   `json:"manifest,omitempty"`
	Args     []string `json:"args,omitempty"`
	Timeout  Duration `json:"timeout,omitempty"`
}

// The modes of Puppet.
const (
	Apply = "apply"
	Agent = "agent"
)

// Validation is a directory of scripts.
type Validation struct {
	Directory string `json:"directory"`
	// Names is a pattern (RE2) of the names that are run; empty: DefaultNames.
	Names   string   `json:"names,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
}

// Command is what one name of spec.action means on this host.
type Command struct {
	Path string `json:"path"`
	// User is who runs it; empty: who runs the agent.
	User string `json:"user,omitempty"`
	// Args are patterns (RE2), one for each argument, each of which must fit as a whole.
	Args    []string `json:"args,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
}

// Checks are the checks puppet and validation at the local Consul agent.
type Checks struct {
	// TTL is how long one stands that is not renewed, before it is critical.
	TTL Duration `json:"ttl,omitempty"`
}

// Duration is a text that time.ParseDuration reads.
type Duration string

// Or is the duration; of an empty text, another.
func (d Duration) Or(other time.Duration) time.Duration {
	parsed, err := time.ParseDuration(string(d))
	if err != nil { // empty: others are found by Decode
		return other
	}
	return parsed
}

// Default is what stands for a file where there is none.
func Default() Config {
	c := Config{}
	c.setDefaults()
	return c
}

// Load reads a file.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	return Decode(path, data)
}

// Decode reads a configuration; source is its name in errors. The error is a strict.Errors with all that is wrong.
func Decode(source string, data []byte) (Config, error) {
	documents, problems := strictyaml.Read(source, data)
	if len(problems) == 0 && len(documents) > 1 {
		problems = strictyaml.Errors{{Source: source, Line: documents[1].Line, Detail: "must be the only document of the file"}}
	}
	if len(problems) > 0 {
		return Config{}, problems
	}
	var c Config
	if problems := documents[0].Decode(&c, nil); len(problems) > 0 {
		return Config{}, problems
	}
	if problems := documents[0].Locate(c.validate()); len(problems) > 0 {
		return Config{}, problems
	}
	c.setDefaults()
	return c, nil
}

func (c *Config) setDefaults() {
	if c.Pipeline == (Pipeline{}) {
		c.Pipeline.Puppet = &Puppet{}
	}
	if f := c.Pipeline.Facts; f != nil {
		f.Path = cmp.Or(f.Path, DefaultFacts)
	}
	if p := c.Pipeline.Puppet; p != nil {
		p.Mode, p.Path = cmp.Or(p.Mode, Apply), cmp.Or(p.Path, "puppet")
		if p.Mode == Apply {
			p.Manifest = cmp.Or(p.Manifest, DefaultManifest)
		}
	}
	if v := c.Pipeline.Validation; v != nil {
		v.Names = cmp.Or(v.Names, DefaultNames)
	}
}

func (c *Config) validate() field.ErrorList {
	var errs field.ErrorList
	for _, must := range []struct{ name, is, value string }{{"apiVersion", c.APIVersion, APIVersion}, {"kind", c.Kind, Kind}} {
		if must.is != must.value {
			errs = append(errs, field.Invalid(field.NewPath(must.name), must.is, "must be "+must.value))
		}
	}
	for _, name := range []struct{ name, is string }{{"hostname", c.Hostname}, {"role", c.Role}} {
		if name.is != "" && !names.Segment(name.is) {
			errs = append(errs, field.Invalid(field.NewPath(name.name), name.is, names.SegmentRule))
		}
	}
	for _, path := range []struct{ name, is string }{{"prefix", c.Prefix}, {"runningVersions", c.RunningVersions}} {
		if path.is != "" && !names.Path(path.is) {
			errs = append(errs, field.Invalid(field.NewPath(path.name), path.is, "must be names joined by single slashes"))
		}
	}
	if c.VersionFile != "" {
		errs = append(errs, absolute(c.VersionFile, field.NewPath("versionFile"))...)
	}
	errs = append(errs, duration(c.Interval, time.Millisecond, field.NewPath("interval"))...)
	errs = append(errs, duration(c.Jitter, 0, field.NewPath("jitter"))...)
	errs = append(errs, c.Pipeline.validate(field.NewPath("pipeline"))...)
	for _, name := range sorted(c.Commands) {
		errs = append(errs, c.Commands[name].validate(name, field.NewPath("commands").Key(name))...)
	}
	if c.Checks != nil {
		errs = append(errs, duration(c.Checks.TTL, time.Second, field.NewPath("checks", "ttl"))...)
	}
	return errs
}

func sorted(commands map[string]Command) []string {
	all := make([]string, 0, len(commands))
	for name := range commands {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func (p *Pipeline) validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if h := p.PreHook; h != nil {
		errs = append(errs, absolute(h.Path, at.Child("preHook", "path"))...)
		errs = append(errs, duration(h.Timeout, 0, at.Child("preHook", "timeout"))...)
	}
	if f := p.Facts; f != nil && f.Path != "" {
		errs = append(errs, absolute(f.Path, at.Child("facts", "path"))...)
	}
	if s := p.Sources; s != nil {
		errs = append(errs, absolute(s.Path, at.Child("sources", "path"))...)
		if _, err := s.Parse(); err != nil {
			errs = append(errs, field.Invalid(at.Child("sources", "template"), s.Template, err.Error()))
		}
	}
	if a := p.Apt; a != nil {
		errs = append(errs, duration(a.Timeout, 0, at.Child("apt", "timeout"))...)
	}
	errs = append(errs, p.Puppet.validate(at.Child("puppet"))...)
	if v := p.Validation; v != nil {
		errs = append(errs, absolute(v.Directory, at.Child("validation", "directory"))...)
		errs = append(errs, pattern(v.Names, at.Child("validation", "names"))...)
		errs = append(errs, duration(v.Timeout, 0, at.Child("validation", "timeout"))...)
	}
	return errs
}

func (p *Puppet) validate(at *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := duration(p.Timeout, 0, at.Child("timeout"))
	switch {
	case p.Mode != "" && p.Mode != Apply && p.Mode != Agent:
		errs = append(errs, field.NotSupported(at.Child("mode"), p.Mode, []string{Apply, Agent}))
	case p.Mode == Agent && p.Manifest != "":
		errs = append(errs, field.Invalid(at.Child("manifest"), p.Manifest, "must be left out with mode agent: the server has it"))
	case p.Manifest != "":
		errs = append(errs, absolute(p.Manifest, at.Child("manifest"))...)
	}
	return errs
}

// maxArgs bounds the arguments of a command.
const maxArgs = 32

func (c Command) validate(name string, at *field.Path) field.ErrorList {
	errs := absolute(c.Path, at.Child("path"))
	if !names.Segment(name) {
		errs = append(errs, field.Invalid(at, name, "the name of a command "+names.SegmentRule))
	}
	if len(c.Args) > maxArgs {
		errs = append(errs, field.TooMany(at.Child("args"), len(c.Args), maxArgs))
	}
	for i, text := range c.Args {
		if text == "" {
			errs = append(errs, field.Required(at.Child("args").Index(i), "the pattern of an argument, such as now|[0-9]+"))
		}
		errs = append(errs, pattern(text, at.Child("args").Index(i))...)
	}
	return append(errs, duration(c.Timeout, 0, at.Child("timeout"))...)
}

// cause is what is wrong with a file, without its path.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return err
}

func absolute(path string, at *field.Path) field.ErrorList {
	switch {
	case path == "":
		return field.ErrorList{field.Required(at, "a path that begins with /")}
	case !filepath.IsAbs(path):
		return field.ErrorList{field.Invalid(at, path, "must begin with /")}
	}
	return nil
}

func duration(d Duration, least time.Duration, at *field.Path) field.ErrorList {
	if d == "" {
		return nil
	}
	switch parsed, err := time.ParseDuration(string(d)); {
	case err != nil:
		return field.ErrorList{field.Invalid(at, string(d), "must be a duration (90s, 10m, 2h)")}
	case parsed < least:
		return field.ErrorList{field.Invalid(at, string(d), fmt.Sprintf("must be %s or more", least))}
	}
	return nil
}

func pattern(text string, at *field.Path) field.ErrorList {
	if _, err := regexp.Compile(text); err != nil {
		return field.ErrorList{field.Invalid(at, text, "is not a pattern of RE2: "+
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))}
	}
	return nil
}

// Parse reads the template and fills it in once, so that what is wrong with it is found before a host needs it.
func (s *Sources) Parse() (*template.Template, error) {
	if s.Template == "" {
		return nil, errors.New("is required: the path of a template")
	}
	text, err := os.ReadFile(s.Template)
	if err != nil {
		return nil, cause(err)
	}
	parsed, err := template.New(filepath.Base(s.Template)).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	return parsed, pipeline.Sources{Template: parsed}.Check()
}
