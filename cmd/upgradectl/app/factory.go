// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// factory holds what all commands share: the process, the flags of every command, and the store.
type factory struct {
	Options
	// raw has the streams of the process. Those of Options lose characters that control a terminal. Only what controls it itself
	// writes to raw: an editor, a live screen, and colors.
	raw   Options
	flags globalFlags
	// store opens the store that the flags select. Later calls return the same store.
	store func() (store.Store, error)
	// session ends with the command. Nil means none.
	session session
}

// session is a store that may have logged in.
type session interface {
	Logout(ctx context.Context) error
}

// logoutTimeout is how long a command waits for the end of its login. The token then ends by itself.
const logoutTimeout = 2 * time.Second

// logout destroys the token of the login with which the command worked, if there was one.
func (f *factory) logout(ctx context.Context) {
	if f.session == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logoutTimeout)
	defer cancel()
	if err := f.session.Logout(ctx); err != nil {
		f.warn("cannot log out; the token of the login ends by itself: %v", err)
	}
}

func newFactory(o Options) *factory {
	f := &factory{Options: o, raw: o}
	f.Out, f.Err = cli.Streams(o.Out, o.Err)
	f.store = sync.OnceValues(func() (store.Store, error) {
		s, err := f.Open(f.flags.consul)
		if err != nil {
			return nil, cli.Usage(err)
		}
		f.session, _ = s.(session)
		return s, nil
	})
	return f
}

// quick returns a factory with the same flags, for a read that must not take long: its store does not retry, does not log in, and it
// prints no messages.
func (f *factory) quick() (*factory, error) {
	q := newFactory(f.raw)
	q.Err = io.Discard
	q.flags = f.flags
	q.flags.consul.RetryFor, q.flags.consul.Login = -1, consul.Login{}
	return q, q.flags.complete()
}

// plans returns the plans of the store.
func (f *factory) plans() (planstore.Plans, error) {
	s, err := f.store()
	return planstore.Plans{Store: s}, err
}

// say prints a message on stderr.
func (f *factory) say(format string, args ...any) { fmt.Fprintf(f.Err, format+"\n", args...) }

func (f *factory) warn(format string, args ...any) { f.say("warning: "+format, args...) }

// log returns the logger for other packages. It discards everything without --verbose.
func (f *factory) log() logr.Logger {
	if !f.flags.verbose {
		return logr.Discard()
	}
	log, err := (&flags.Log{Format: "console", Verbosity: 1}).Logger(f.Err)
	if err != nil {
		panic(err) // the values are constant
	}
	return log
}

// dumb reports whether the terminal can do no more than print lines.
func (f *factory) dumb() bool { return f.Getenv("TERM") == "dumb" }

// globalFlags are the flags of every command.
type globalFlags struct {
	consul  consul.Config
	address flags.HostPort
	timeout time.Duration
	layout  keys.Layout
	verbose bool
}

func (g *globalFlags) bind(set *pflag.FlagSet) {
	flags.BindConsul(set, &g.consul)
	flags.BindLogin(set, &g.consul.Login)
	set.DurationVar(&g.timeout, "timeout", 0, "time limit of the command; 0 means no limit")
	set.StringVar(&g.layout.Prefix, "prefix", "", "key prefix of the fleet (if it has no plan)")
	set.StringVar(&g.layout.Records, "running-versions", "", "tree in which hosts record their version, if the fleet has no plan "+
		"(default running/versions and running_version together)")
	set.BoolVarP(&g.verbose, "verbose", "v", false, "print more messages on stderr")
	g.address.Bind(set)
}

func (g *globalFlags) complete() error {
	if g.timeout < 0 {
		return cli.FlagErrorf("--timeout %s: must not be negative", g.timeout)
	}
	for _, err := range []error{
		flags.CheckKeyPath("--prefix", g.layout.Prefix),
		flags.CheckKeyPath("--running-versions", g.layout.Records),
		g.address.Complete(&g.consul),
	} {
		if err != nil {
			return cli.FlagError(err)
		}
	}
	return nil
}

// options are the options of a command. complete takes the arguments, and checks them and the flags.
type options interface {
	complete(args []string) error
}

// runE returns the RunE of a command: it completes the options, and calls run with a context that ends at --timeout. Unless
// runF is nil, it calls runF in place of run.
func runE[O options](f *factory, o O, run, runF func(context.Context, O) error) func(*cobra.Command, []string) error {
	if runF != nil {
		run = runF
	}
	return func(cmd *cobra.Command, args []string) error {
		if err := o.complete(args); err != nil {
			return err
		}
		return withTimeout(cmd.Context(), f.flags.timeout, func(ctx context.Context) error { return run(ctx, o) })
	}
}

// withTimeout calls run with a context that ends after timeout. 0 means no limit.
func withTimeout(ctx context.Context, timeout time.Duration, run func(context.Context) error) error {
	if timeout == 0 {
		return run(ctx)
	}
	gaveUp := fmt.Errorf("gave up after %s (--timeout)", timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, gaveUp)
	defer cancel()
	err := run(ctx)
	if err != nil && errors.Is(context.Cause(ctx), gaveUp) && errors.Is(err, context.DeadlineExceeded) {
		return gaveUp
	}
	return err
}
