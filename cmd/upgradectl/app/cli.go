// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	shared "github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// cli is what all commands share.
type cli struct {
	Options
	flags flags
	// color is the flag --color of the commands that have it.
	color *choice
}

// flags are those of every command.
type flags struct {
	consul  consul.Config
	address shared.HostPort
	timeout time.Duration
	layout  keys.Layout
	verbose bool
}

func (f *flags) bind(set *pflag.FlagSet) {
	shared.BindConsul(set, &f.consul)
	set.DurationVar(&f.timeout, "timeout", 0, "how long the command may take; 0: as long as it needs")
	set.StringVar(&f.layout.Prefix, "prefix", "", "what stands before the fleet's keys, where no plan says so")
	set.StringVar(&f.layout.Records, "running-versions", "", "tree in which hosts record their version, where no plan says so "+
		"(default running/versions, or running_version when only that one holds records)")
	set.BoolVarP(&f.verbose, "verbose", "v", false, "say more on stderr")
	f.address.Bind(set)
}

func (f *flags) complete() error {
	switch {
	case f.layout.Prefix != "" && !keys.ValidPath(f.layout.Prefix):
		return flagError{fmt.Errorf("--prefix %q: must be names joined by single slashes, without one at its ends", f.layout.Prefix)}
	case f.layout.Records != "" && !keys.ValidPath(f.layout.Records):
		return flagError{fmt.Errorf("--running-versions %q: must be names joined by single slashes, without one at its ends",
			f.layout.Records)}
	case f.timeout < 0:
		return flagError{fmt.Errorf("--timeout %s: must not be negative", f.timeout)}
	}
	if err := f.address.Complete(&f.consul); err != nil {
		return flagError{err}
	}
	return nil
}

// plans opens the store.
func (c *cli) plans() (upgradeplan.Plans, store.Store, error) {
	s, err := c.Open(c.flags.consul)
	if err != nil {
		return upgradeplan.Plans{}, nil, usageError{err}
	}
	return upgradeplan.Plans{Store: s}, s, nil
}

// runner is what a command does with its arguments.
type runner func(ctx context.Context, args []string) error

// run gives a command its context, which ends at --timeout.
func (c *cli) run(f runner) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if c.flags.timeout == 0 {
			return f(ctx, args)
		}
		gaveUp := fmt.Errorf("gave up after %s (--timeout)", c.flags.timeout)
		ctx, cancel := context.WithTimeoutCause(ctx, c.flags.timeout, gaveUp)
		defer cancel()
		err := f(ctx, args)
		if err != nil && errors.Is(context.Cause(ctx), gaveUp) && errors.Is(err, context.DeadlineExceeded) {
			return gaveUp
		}
		return err
	}
}

// say tells something on stderr.
func (c *cli) say(format string, args ...any) { fmt.Fprintf(c.Err, format+"\n", args...) }

func (c *cli) warn(text string) { c.say("warning: %s", text) }

// log is where the packages below write; it is silent without --verbose.
func (c *cli) log() logr.Logger {
	if !c.flags.verbose {
		return logr.Discard()
	}
	log, err := (&shared.Log{Format: "console", Verbosity: 1}).Logger(c.Err)
	if err != nil {
		panic(err) // both are allowed
	}
	return log
}

// pause waits, and says whether it may go on.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
