// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"text/template"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
)

// The names of the steps.
const (
	HookStep       = "preHook"
	FactsStep      = "facts"
	SourcesStep    = "sources"
	AptStep        = "apt"
	PuppetStep     = "puppet"
	ValidationStep = "validation"
)

// Hook runs a program before all other steps.
func Hook(command agent.Command) Step { return Step{HookStep, command.Run} }

// Facts writes a file of facter's facts.d with the version to reach, as current_version.
type Facts struct{ Path string }

// Step is the step that does so.
func (f Facts) Step() Step {
	return Step{FactsStep, func(_ context.Context, c agent.Change) (string, error) {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return "", err
		}
		return "", atomicfile.Write(f.Path, []byte("current_version="+c.To+"\n"), 0o644)
	}}
}

// Sources writes a file of package sources for the version: apt's deb822 form, or whatever the template makes. Its fields
// are .Version, .LocalVersion, .Hostname and .Role.
type Sources struct {
	Path     string
	Template *template.Template
}

// release is what a template of sources is given.
type release struct{ Version, LocalVersion, Hostname, Role string }

// Step is the step that does so.
func (s Sources) Step() Step {
	return Step{SourcesStep, func(_ context.Context, c agent.Change) (string, error) {
		text, err := s.render(c)
		if err != nil {
			return "", err
		}
		return "", atomicfile.Write(s.Path, text, 0o644)
	}}
}

// Check says what is wrong with the template; nil: it can be filled in.
func (s Sources) Check() error {
	_, err := s.render(agent.Change{Host: "host1", Role: "host", From: "v1", To: "v2"})
	return err
}

func (s Sources) render(c agent.Change) ([]byte, error) {
	var text bytes.Buffer
	err := s.Template.Execute(&text, release{Version: c.To, LocalVersion: c.From, Hostname: c.Host, Role: c.Role})
	if err == nil && len(bytes.TrimSpace(text.Bytes())) == 0 {
		err = errors.New("the template makes an empty file")
	}
	return text.Bytes(), err
}

// Apt brings all packages to what the sources offer, and keeps configuration files that were changed on the host, as
// maybe-upgrade.sh did.
type Apt struct {
	// Options are given to apt-get before all others.
	Options []string
	// Timeout bounds the whole step.
	Timeout time.Duration
	Output  io.Writer
}

// lockSeconds is how long apt-get waits for another one to end.
const lockSeconds = "300"

// Step is the step that does so. What dpkg was interrupted at is finished first: apt-get refuses to work before that.
// apt-get update fails when any index cannot be had: by itself it goes on with the old one, and the host would be taken to
// be at a version that it never saw.
func (a Apt) Step() Step {
	return Step{AptStep, bounded(a.Timeout, func(ctx context.Context, c agent.Change) (string, error) {
		const keep = "--force-confold"
		for _, line := range [][]string{
			{"dpkg", keep, "--configure", "-a"},
			a.get("update", "-o", "APT::Update::Error-Mode=any"),
			a.get("dist-upgrade", "-y", "-o", "Dpkg::Options::="+keep),
		} {
			command := agent.Command{Path: line[0], Args: line[1:], Output: a.Output,
				Env: []string{"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none", "UCF_FORCE_CONFFOLD=1"}}
			if says, err := command.Run(ctx, c); err != nil {
				return says, fmt.Errorf("%s: %w", line[0], err)
			}
		}
		return "", nil
	})}
}

func (a Apt) get(verb string, options ...string) []string {
	line := append([]string{"apt-get"}, a.Options...)
	return append(append(line, "-q", "-o", "DPkg::Lock::Timeout="+lockSeconds, verb), options...)
}

// Puppet runs Puppet once.
type Puppet struct {
	// Path is the program.
	Path string
	// Manifest is what puppet apply applies; empty: puppet agent asks its server.
	Manifest string
	// Args are given to it besides.
	Args    []string
	Timeout time.Duration
	Output  io.Writer
}

// Step is the step that does so. Exit status 0 says that nothing had to be changed, and 2 that something was.
func (p Puppet) Step() Step {
	args := []string{"agent", "--onetime", "--no-daemonize", "--no-splay", "--no-usecacheonfailure", "--verbose", "--logdest", "console"}
	if p.Manifest != "" {
		args = []string{"apply"}
	}
	args = append(append(args, "--detailed-exitcodes", "--color=false"), p.Args...)
	if p.Manifest != "" {
		args = append(args, p.Manifest)
	}
	command := agent.Command{Path: p.Path, Args: args, Succeeds: []int{2}, Timeout: p.Timeout, Output: p.Output}
	return Step{PuppetStep, func(ctx context.Context, c agent.Change) (string, error) {
		says, err := command.Run(ctx, c)
		return says, explain(err)
	}}
}

// explain adds what Puppet's exit statuses mean.
func explain(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	switch exit.ExitCode() {
	case 1:
		return fmt.Errorf("%w (the run failed, or did not begin)", err)
	case 4:
		return fmt.Errorf("%w (resources failed)", err)
	case 6:
		return fmt.Errorf("%w (resources were changed, and others failed)", err)
	}
	return err
}

// Validation runs the scripts of a directory one after the other, as run-parts does: executable files whose names fit, in
// the order of their names' bytes. The first that fails ends it.
type Validation struct {
	Directory string
	Names     *regexp.Regexp
	// Timeout bounds all of them together.
	Timeout time.Duration
	Output  io.Writer
}

// Step is the step that does so.
func (v Validation) Step() Step {
	return Step{ValidationStep, bounded(v.Timeout, func(ctx context.Context, c agent.Change) (string, error) {
		scripts, err := v.scripts()
		if err != nil {
			return "", err
		}
		for _, name := range scripts {
			command := agent.Command{Path: filepath.Join(v.Directory, name), Output: v.Output}
			if says, err := command.Run(ctx, c); err != nil {
				return says, fmt.Errorf("%s: %w", name, err)
			}
		}
		return "", nil
	})}
}

func (v Validation) scripts() ([]string, error) {
	entries, err := os.ReadDir(v.Directory) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(v.Directory, entry.Name()))
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			continue
		}
		if v.Names.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		} else if v.Output != nil {
			fmt.Fprintf(v.Output, "%s is not run: its name does not fit %s\n", filepath.Join(v.Directory, entry.Name()), v.Names)
		}
	}
	return names, nil
}

// bounded ends a step after a time; 0: never.
func bounded(limit time.Duration, run agent.Step) agent.Step {
	if limit <= 0 {
		return run
	}
	return func(ctx context.Context, c agent.Change) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %s", limit))
		defer cancel()
		return run(ctx, c)
	}
}
