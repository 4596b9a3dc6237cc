// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"text/template"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
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
func Hook(command agent.Command) Step { return Step{HookStep, command.Run, command.Check} }

// Facts writes the version to reach as the external fact current_version, a file in facter's facts.d.
type Facts struct{ Path string }

// Step returns the step.
func (f Facts) Step() Step {
	return Step{Name: FactsStep, Run: func(_ context.Context, c agent.Change) (string, error) {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return "", err
		}
		return "", atomicfile.Write(f.Path, []byte("current_version="+c.To+"\n"), 0o644)
	}}
}

// Sources writes a file of package sources for the version from a template. The template's fields are .Version, .LocalVersion,
// .Hostname and .Role.
type Sources struct {
	Path     string
	Template *template.Template
}

// templateData is the input of a template.
type templateData struct{ Version, LocalVersion, Hostname, Role string }

// Step returns the step.
func (s Sources) Step() Step {
	return Step{Name: SourcesStep, Run: func(_ context.Context, c agent.Change) (string, error) {
		text, err := s.render(c)
		if err != nil {
			return "", err
		}
		return "", atomicfile.Write(s.Path, text, 0o644)
	}, Check: s.Check}
}

// Check executes the template with an example and returns its error.
func (s Sources) Check() error {
	_, err := s.render(agent.Change{Host: "host1", Role: "host", From: "v1", To: "v2"})
	return err
}

func (s Sources) render(c agent.Change) ([]byte, error) {
	var text bytes.Buffer
	err := s.Template.Execute(&text, templateData{Version: c.To, LocalVersion: c.From, Hostname: c.Host, Role: c.Role})
	if err == nil && len(bytes.TrimSpace(text.Bytes())) == 0 {
		err = errors.New("the template produces an empty file")
	}
	return text.Bytes(), err
}

// Apt upgrades all packages to the versions in the package sources. It keeps configuration files that were changed on the
// host, as maybe-upgrade.sh did.
type Apt struct {
	// Options come before all other options of apt-get.
	Options []string
	// Timeout limits the whole step. 0 means no limit.
	Timeout time.Duration
	Output  io.Writer
	// Trust is that of its commands.
	Trust trust.Owners
}

// lockSeconds is how long apt-get waits for the lock of another one.
const lockSeconds = "300"

// Step returns the step. It first finishes an interrupted run of dpkg, since apt-get refuses to work before that. It makes
// apt-get update fail when an index cannot be downloaded. By default apt-get continues with the old index, and the host would
// record a version whose packages it does not have.
func (a Apt) Step() Step {
	const keep = "--force-confold"
	commands := []agent.Command{
		a.command("dpkg", keep, "--configure", "-a"),
		a.get("update", "-o", "APT::Update::Error-Mode=any"),
		a.get("dist-upgrade", "-y", "-o", "Dpkg::Options::="+keep),
	}
	return Step{AptStep, withTimeout(a.Timeout, func(ctx context.Context, c agent.Change) (string, error) {
		for _, command := range commands {
			if output, err := command.Run(ctx, c); err != nil {
				return output, fmt.Errorf("%s: %w", command.Path, err)
			}
		}
		return "", nil
	}), func() error { return errors.Join(commands[0].Check(), commands[1].Check()) }}
}

func (a Apt) command(path string, args ...string) agent.Command {
	return agent.Command{Path: path, Args: args, Output: a.Output, Trust: a.Trust,
		Env: []string{"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none", "UCF_FORCE_CONFFOLD=1"}}
}

func (a Apt) get(verb string, options ...string) agent.Command {
	args := append(slices.Clone(a.Options), "-q", "-o", "DPkg::Lock::Timeout="+lockSeconds, verb)
	return a.command("apt-get", append(args, options...)...)
}

// Puppet runs Puppet once.
type Puppet struct {
	// Path is the program.
	Path string
	// Manifest is the argument of puppet apply. Empty means puppet agent.
	Manifest string
	// Args are additional arguments.
	Args []string
	// Timeout 0 means no limit.
	Timeout time.Duration
	Output  io.Writer
	// Trust is that of its command and of the manifest.
	Trust trust.Owners
}

// Step returns the step. Exit code 0 means no changes, and 2 means changes.
func (p Puppet) Step() Step {
	args := []string{"agent", "--onetime", "--no-daemonize", "--no-splay", "--no-usecacheonfailure", "--verbose", "--logdest", "console"}
	if p.Manifest != "" {
		args = []string{"apply"}
	}
	args = append(append(args, "--detailed-exitcodes", "--color=false"), p.Args...)
	if p.Manifest != "" {
		args = append(args, p.Manifest)
	}
	command := agent.Command{Path: p.Path, Args: args, SuccessCodes: []int{2}, Timeout: p.Timeout, Output: p.Output,
		Trust: p.Trust}
	return Step{PuppetStep, func(ctx context.Context, c agent.Change) (string, error) {
		if err := p.checkManifest(); err != nil && !errors.Is(err, fs.ErrNotExist) { // Puppet reports one that is missing
			return "", err
		}
		output, err := command.Run(ctx, c)
		return output, explain(err)
	}, func() error { return cmp.Or(p.checkManifest(), command.Check()) }}
}

// checkManifest refuses a manifest that is missing or that others can change.
func (p Puppet) checkManifest() error {
	if p.Manifest == "" {
		return nil
	}
	if err := p.Trust.CheckTree(p.Manifest); err != nil {
		return fmt.Errorf("manifest %w", err)
	}
	return nil
}

// explain adds the meaning of Puppet's exit codes.
func explain(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	switch exit.ExitCode() {
	case 1:
		return fmt.Errorf("%w (the run failed or did not start)", err)
	case 4:
		return fmt.Errorf("%w (resources failed)", err)
	case 6:
		return fmt.Errorf("%w (some resources were changed, others failed)", err)
	}
	return err
}

// Validation runs the scripts of a directory one after the other, as run-parts does: executable files with matching names, in
// byte order of their names. It ends with the first failure.
type Validation struct {
	Directory string
	Names     *regexp.Regexp
	// Timeout limits all scripts together. 0 means no limit.
	Timeout time.Duration
	Output  io.Writer
	// Trust is that of the scripts and of the directory.
	Trust trust.Owners
}

// Step returns the step.
func (v Validation) Step() Step {
	return Step{ValidationStep, withTimeout(v.Timeout, func(ctx context.Context, c agent.Change) (string, error) {
		scripts, err := v.scripts()
		if err != nil {
			return "", err
		}
		for _, name := range scripts {
			if output, err := v.command(name).Run(ctx, c); err != nil {
				return output, fmt.Errorf("%s: %w", name, err)
			}
		}
		return "", nil
	}), v.check}
}

func (v Validation) command(name string) agent.Command {
	return agent.Command{Path: filepath.Join(v.Directory, name), Output: v.Output, Trust: v.Trust}
}

// check returns what is wrong with the first script that Run would refuse.
func (v Validation) check() error {
	v.Output = nil
	scripts, err := v.scripts()
	if err != nil {
		return err
	}
	for _, name := range scripts {
		if err := v.command(name).Check(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (v Validation) scripts() ([]string, error) {
	if err := v.Trust.CheckDirectory(v.Directory); err != nil {
		return nil, err
	}
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
			fmt.Fprintf(v.Output, "skipping %s: its name does not match %s\n", filepath.Join(v.Directory, entry.Name()), v.Names)
		}
	}
	return names, nil
}

// withTimeout stops a step after limit. 0 means never.
func withTimeout(limit time.Duration, run agent.Step) agent.Step {
	if limit <= 0 {
		return run
	}
	return func(ctx context.Context, c agent.Change) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %s", limit))
		defer cancel()
		return run(ctx, c)
	}
}
