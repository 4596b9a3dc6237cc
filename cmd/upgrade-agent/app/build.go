// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os/user"
	"regexp"
	"slices"
	"strconv"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
	"github.com/jiocloud/upgrade-controller/controllers/agent/checks"
	"github.com/jiocloud/upgrade-controller/controllers/agent/commands"
	"github.com/jiocloud/upgrade-controller/controllers/agent/config"
	"github.com/jiocloud/upgrade-controller/controllers/agent/inhibit"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
)

// builder builds the parts of an agent from its configuration file.
type builder struct {
	file config.Config
	// statePath begins the paths of the agent's own files. It is the path of the version file.
	statePath string
	store     checks.Consul
	output    io.Writer
	log       logr.Logger
	// owners are those of the file's field trust.
	owners trust.Owners
}

func (b builder) spool() agent.Spool { return atomicfile.State[agent.Unsent](b.statePath + ".unsent") }

// memory is kept beside the version file.
func memory(versionFile string) agent.Memory {
	return atomicfile.State[agent.Remembered](versionFile + ".rollout")
}

// reporter returns nil if the file has no checks.
func (b builder) reporter() *checks.Reporter {
	if b.file.Checks == nil {
		return nil
	}
	return &checks.Reporter{Consul: b.store, Results: atomicfile.State[map[string]checks.Result](b.statePath + ".checks"),
		TTL: b.file.Checks.TTL.Or(config.DefaultTTL), Log: b.log}
}

func (b builder) inhibiting(step agent.Step) agent.Step {
	if !b.file.InhibitShutdown {
		return step
	}
	return inhibit.WithInhibitor(step, inhibit.Logind, b.log)
}

func (b builder) pipeline(steps []pipeline.Step, reporter *checks.Reporter) agent.Step {
	p := &pipeline.Pipeline{Steps: steps, Journal: atomicfile.State[pipeline.Entry](b.statePath + ".journal"), Log: b.log}
	if reporter != nil {
		p.StepEnded = reporter.StepEnded
	}
	return p.Run
}

func (b builder) steps() (steps []pipeline.Step, err error) {
	p := b.file.Pipeline
	if h := p.PreHook; h != nil {
		steps = append(steps, pipeline.Hook(agent.Command{Path: h.Path, Args: h.Args, Output: b.output,
			Timeout: h.Timeout.Or(config.DefaultTimeout), Trust: b.owners}))
	}
	if f := p.Facts; f != nil {
		steps = append(steps, pipeline.Facts{Path: f.Path}.Step())
	}
	if s := p.Sources; s != nil {
		template, err := s.Parse(b.owners)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Template, err)
		}
		steps = append(steps, pipeline.Sources{Path: s.Path, Template: template}.Step())
	}
	if a := p.Apt; a != nil {
		steps = append(steps, pipeline.Apt{Options: a.Options, Timeout: a.Timeout.Or(config.DefaultTimeout), Output: b.output,
			Trust: b.owners}.Step())
	}
	if r := p.Puppet; r != nil {
		steps = append(steps, pipeline.Puppet{Path: r.Path, Manifest: r.Manifest, Args: r.Args,
			Timeout: r.Timeout.Or(config.DefaultTimeout), Output: b.output, Trust: b.owners}.Step())
	}
	if v := p.Validation; v != nil {
		names, err := regexp.Compile(v.Names)
		if err != nil {
			return nil, err
		}
		steps = append(steps, pipeline.Validation{Directory: v.Directory, Names: names,
			Timeout: v.Timeout.Or(config.DefaultTimeout), Output: b.output, Trust: b.owners}.Step())
	}
	return steps, nil
}

func (b builder) commands() (commands.Commands, error) {
	all := commands.Commands{Defined: map[string]commands.Definition{}, Output: b.output}
	for name, c := range b.file.Commands {
		d := commands.Definition{Path: c.Path, Timeout: c.Timeout.Or(config.DefaultTimeout), Trust: b.owners}
		for _, text := range c.Args {
			pattern, err := commands.Compile(text)
			if err != nil {
				return all, fmt.Errorf("commands[%s]: %w", name, err)
			}
			d.Args = append(d.Args, pattern)
		}
		var err error
		if d.User, err = findUser(c.User); err != nil {
			return all, fmt.Errorf("commands[%s].user: %w", name, err)
		}
		if d.User != nil {
			d.User.GainPrivileges = c.GainPrivileges
		}
		all.Defined[name] = d
	}
	return all, nil
}

// warn logs which steps and commands would fail because untrusted users can change what they run. What is missing may be installed
// by an earlier step.
func (b builder) warn(steps []pipeline.Step, defined commands.Commands) {
	warn := func(kind, name string, err error) {
		if _, ok := errors.AsType[*trust.Error](err); ok {
			b.log.Error(err, "refusing to run what others can change", kind, name)
		}
	}
	for _, step := range steps {
		if step.Check != nil {
			warn("step", step.Name, step.Check())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(defined.Defined)) {
		warn("command", name, defined.Defined[name].Check())
	}
}

// findUser returns nil for the empty name, which means the user of the agent.
func findUser(name string) (*agent.User, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no other user
	}
	found, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
	groups, groupsErr := found.GroupIds()
	if uidErr != nil || gidErr != nil || groupsErr != nil {
		return nil, fmt.Errorf("user %s: cannot read its numeric IDs and groups", name)
	}
	u := &agent.User{Name: found.Username, Home: found.HomeDir, UID: uint32(uid), GID: uint32(gid)}
	for _, text := range groups {
		if id, err := strconv.ParseUint(text, 10, 32); err == nil {
			u.Groups = append(u.Groups, uint32(id))
		}
	}
	return u, nil
}
