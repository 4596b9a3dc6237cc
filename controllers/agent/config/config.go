// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
)

// The values of the fields apiVersion and kind.
const (
	APIVersion = "upgrade.jiocloud.com/v1alpha1"
	Kind       = "AgentConfig"
)

// The defaults.
const (
	DefaultFacts    = "/etc/facter/facts.d/current_version.txt"
	DefaultManifest = "/etc/puppet/manifests/site.pp"
	DefaultTimeout  = time.Hour
	// DefaultNames matches the names that run-parts runs.
	DefaultNames = "^[A-Za-z0-9_-]+$"
	// DefaultTTL is how long a check stays valid without renewal.
	DefaultTTL = time.Hour
)

// Config is the file. A flag takes precedence over a field.
type Config struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`

	// Hostname and Role are those of this host. For empty values see the flags.
	Hostname string `json:"hostname,omitempty"`
	Role     string `json:"role,omitempty"`
	// VersionFile holds the version that this host has. The journal and other state are in the same directory.
	VersionFile string `json:"versionFile,omitempty"`
	// Prefix and RunningVersions locate the fleet's keys, as spec.keys of the plan does.
	Prefix          string   `json:"prefix,omitempty"`
	RunningVersions string   `json:"runningVersions,omitempty"`
	Interval        Duration `json:"interval,omitempty"`
	Jitter          Duration `json:"jitter,omitempty"`
	Consul          Consul   `json:"consul,omitempty"`
	// Pipeline is how this host reaches a version. Without any step it is Puppet alone.
	Pipeline Pipeline `json:"pipeline,omitempty"`
	// Commands can be named by spec.action of a plan.
	Commands map[string]Command `json:"commands,omitempty"`
	// Checks are set at the local Consul agent. Nil means none.
	Checks *Checks `json:"checks,omitempty"`
	// Trust names users and groups that may change what this host reads and runs, besides root and the user of the agent.
	Trust Trust `json:"trust,omitempty"`
	// InhibitShutdown keeps the machine from shutting down while the pipeline runs.
	InhibitShutdown bool `json:"inhibitShutdown,omitempty"`
}

// Consul is how to reach Consul. Empty fields take their values from Consul's own environment variables.
type Consul struct {
	Address    string `json:"address,omitempty"`
	TokenFile  string `json:"tokenFile,omitempty"`
	CAFile     string `json:"caFile,omitempty"`
	ClientCert string `json:"clientCert,omitempty"`
	ClientKey  string `json:"clientKey,omitempty"`
	Datacenter string `json:"datacenter,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	// Login is a source of the token. It takes precedence over TokenFile.
	Login Login `json:"login,omitzero"`
}

// Login selects an auth method of Consul, of type jwt or kubernetes.
type Login struct {
	AuthMethod string `json:"authMethod,omitempty"`
	// BearerTokenFile holds the JWT. Empty means that of a service account of Kubernetes.
	BearerTokenFile string `json:"bearerTokenFile,omitempty"`
}

// Pipeline has the steps in the order in which they run. Nil steps do not run.
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

// Facts is a file in facter's facts.d.
type Facts struct {
	Path string `json:"path,omitempty"`
}

// Sources is a template (Go's text/template) and the file that it produces.
type Sources struct {
	Template string `json:"template"`
	Path     string `json:"path"`
}

// Apt is apt-get update and dist-upgrade.
type Apt struct {
	// Options come before all other options of apt-get.
	Options []string `json:"options,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
}

// Puppet is a run of Puppet.
type Puppet struct {
	// Mode is apply (default) or agent.
	Mode string `json:"mode,omitempty"`
	// Path is the program. Empty means puppet, found by PATH.
	Path string `json:"path,omitempty"`
	// Manifest is the argument of puppet apply. Mode agent does not allow it.
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
	// Names is a pattern (RE2) of the names that run. Empty means DefaultNames.
	Names   string   `json:"names,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
}

// Command defines one name of spec.action on this host.
type Command struct {
	Path string `json:"path"`
	// User runs it. Empty means the user of the agent.
	User string `json:"user,omitempty"`
	// GainPrivileges lets the program of another user run set-user-ID programs such as sudo.
	GainPrivileges bool `json:"gainPrivileges,omitempty"`
	// Args has one pattern (RE2) for each argument. The whole argument must match it.
	Args    []string `json:"args,omitempty"`
	Timeout Duration `json:"timeout,omitempty"`
}

// Checks configures the checks puppet and validation at the local Consul agent.
type Checks struct {
	// TTL is how long a check stays valid without renewal. Then it is critical.
	TTL Duration `json:"ttl,omitempty"`
}

// Trust names users and groups of the system. They may own and write the programs, the manifest, the template and the files with
// credentials that the configuration names. The configuration itself is root's.
type Trust struct {
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`

	owners trust.Owners
}

// Owners returns the users and groups by their numbers, as they were when the configuration was read.
func (t *Trust) Owners() trust.Owners { return t.owners }

// lookUp finds the numbers of the users and groups.
func (t *Trust) lookUp(at *field.Path) (errs field.ErrorList) {
	t.owners = trust.Owners{}
	number := func(id string, err error, name string, at *field.Path) uint32 {
		n, parseErr := strconv.ParseUint(id, 10, 32)
		if err != nil || parseErr != nil {
			errs = append(errs, field.Invalid(at, name, "must be a user or a group of this system"))
		}
		return uint32(n)
	}
	for i, name := range t.Users {
		found, err := user.Lookup(name)
		t.owners.Users = append(t.owners.Users, number(cmp.Or(found, &user.User{}).Uid, err, name, at.Child("users").Index(i)))
	}
	for i, name := range t.Groups {
		found, err := user.LookupGroup(name)
		t.owners.Groups = append(t.owners.Groups, number(cmp.Or(found, &user.Group{}).Gid, err, name, at.Child("groups").Index(i)))
	}
	return errs
}

// Duration is a duration as time.ParseDuration reads it. Empty means the default.
type Duration string

// Or returns the duration, or the default if it is empty.
func (d Duration) Or(defaultValue time.Duration) time.Duration {
	parsed, err := time.ParseDuration(string(d))
	if err != nil { // it is empty: Decode refuses other texts
		return defaultValue
	}
	return parsed
}

// Default is the configuration without a file.
func Default() Config {
	c := Config{}
	c.setDefaults()
	return c
}

// Load reads a file. It refuses one that users other than root and that of the process can change.
func Load(path string) (Config, error) {
	data, err := trust.Owners{}.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	return Decode(path, data)
}

// Decode reads a configuration. Errors name the source. The error is a strictyaml.Errors with all problems.
func Decode(source string, data []byte) (Config, error) {
	documents, problems := strictyaml.Read(source, data)
	if len(problems) == 0 && len(documents) > 1 {
		problems = strictyaml.Errors{{Source: source, Line: documents[1].Line, Detail: "must be the only document of the file"}}
	}
	if len(problems) > 0 {
		return Config{}, problems
	}
	if problems := documents[0].Identify(APIVersion, Kind); len(problems) > 0 {
		return Config{}, problems
	}
	var c Config
	if problems := documents[0].Decode(&c, strictyaml.Options{}); len(problems) > 0 {
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
	for _, f := range []struct {
		name, value, rule string
		valid             func(string) bool
	}{
		{"hostname", c.Hostname, names.SegmentRule, names.Segment},
		{"role", c.Role, names.SegmentRule, names.Segment},
		{"prefix", c.Prefix, names.PathRule, names.Path},
		{"runningVersions", c.RunningVersions, names.PathRule, names.Path},
	} {
		if f.value != "" && !f.valid(f.value) {
			errs = append(errs, field.Invalid(field.NewPath(f.name), f.value, f.rule))
		}
	}
	if c.VersionFile != "" {
		errs = append(errs, absolute(c.VersionFile, field.NewPath("versionFile"))...)
	}
	errs = append(errs, duration(c.Interval, time.Millisecond, field.NewPath("interval"))...)
	errs = append(errs, duration(c.Jitter, 0, field.NewPath("jitter"))...)
	errs = append(errs, c.Trust.lookUp(field.NewPath("trust"))...)
	errs = append(errs, c.Pipeline.validate(c.Trust.owners, field.NewPath("pipeline"))...)
	for _, name := range slices.Sorted(maps.Keys(c.Commands)) {
		errs = append(errs, c.Commands[name].validate(name, field.NewPath("commands").Key(name))...)
	}
	if c.Checks != nil {
		errs = append(errs, duration(c.Checks.TTL, time.Second, field.NewPath("checks", "ttl"))...)
	}
	return errs
}

func (p *Pipeline) validate(owners trust.Owners, at *field.Path) field.ErrorList {
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
		if _, err := s.Parse(owners); err != nil {
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
		errs = append(errs, field.Invalid(at.Child("manifest"), p.Manifest, "must be empty with mode agent: the server has the manifest"))
	case p.Manifest != "":
		errs = append(errs, absolute(p.Manifest, at.Child("manifest"))...)
	}
	return errs
}

// maxArgs is how many arguments a command may have.
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
			errs = append(errs, field.Required(at.Child("args").Index(i), "a pattern for the argument, such as now|[0-9]+"))
		}
		errs = append(errs, pattern(text, at.Child("args").Index(i))...)
	}
	if c.GainPrivileges && c.User == "" {
		errs = append(errs, field.Invalid(at.Child("gainPrivileges"), true,
			"needs user: without it the command has the privileges of the agent"))
	}
	return append(errs, duration(c.Timeout, 0, at.Child("timeout"))...)
}

// withoutPath drops the path from an error of a file.
func withoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

func absolute(path string, at *field.Path) field.ErrorList {
	switch {
	case path == "":
		return field.ErrorList{field.Required(at, "an absolute path")}
	case !filepath.IsAbs(path):
		return field.ErrorList{field.Invalid(at, path, "must be an absolute path")}
	}
	return nil
}

func duration(d Duration, minimum time.Duration, at *field.Path) field.ErrorList {
	if d == "" {
		return nil
	}
	switch parsed, err := time.ParseDuration(string(d)); {
	case err != nil:
		return field.ErrorList{field.Invalid(at, string(d), "must be a duration such as 90s, 10m or 2h")}
	case parsed < minimum:
		return field.ErrorList{field.Invalid(at, string(d), fmt.Sprintf("must be %s or more", minimum))}
	}
	return nil
}

func pattern(text string, at *field.Path) field.ErrorList {
	if _, err := regexp.Compile(text); err != nil {
		return field.ErrorList{field.Invalid(at, text, "must be a regular expression (RE2): "+
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))}
	}
	return nil
}

// Parse reads the template and executes it once, so that its errors are found at start. It refuses one that others than the owners
// can change.
func (s *Sources) Parse(owners trust.Owners) (*template.Template, error) {
	if s.Template == "" {
		return nil, errors.New("must be the path of a template")
	}
	text, err := owners.ReadFile(s.Template)
	if err != nil {
		return nil, withoutPath(err)
	}
	parsed, err := template.New(filepath.Base(s.Template)).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	return parsed, pipeline.Sources{Template: parsed}.Check()
}
