// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/runner"
)

const (
	defaultInterval    = 5 * time.Second
	defaultLockTimeout = 30 * time.Second
)

// passFlags are the flags of commands that carry out a plan.
type passFlags struct {
	untilComplete         bool
	interval, lockTimeout time.Duration
}

func (p *passFlags) bind(cmd *cobra.Command, interval time.Duration) {
	cmd.Flags().DurationVar(&p.interval, "interval", interval, "time between two passes")
	cmd.Flags().DurationVar(&p.lockTimeout, "lock-timeout", defaultLockTimeout, "time to wait for the lock")
}

func (p *passFlags) check() error {
	if p.interval <= 0 || p.lockTimeout < 0 {
		return cli.FlagErrorf("--interval must be above 0, and --lock-timeout must not be negative")
	}
	return nil
}

// newRunner returns a runner that carries out a plan as the flags say. Prepare may be nil.
func newRunner(f *factory, s store.Store, plan string, p passFlags, prepare func(context.Context) error) *runner.Runner {
	return &runner.Runner{Store: s, Plan: plan, Holder: lockName(f), Now: f.Now, Log: f.log(), UntilComplete: p.untilComplete,
		Interval: p.interval, LockTimeout: p.lockTimeout, Prepare: prepare}
}

// lockName is the holder that this process writes into the lock.
func lockName(f *factory) string { return fmt.Sprintf("upgradectl of %s (pid %d)", f.Who, os.Getpid()) }

// carryOut runs r, shows its progress, and prints the outcome. Each, which may be nil, is called with what each pass saw.
func carryOut(ctx context.Context, f *factory, r *runner.Runner, each func(*pass.Assessment)) error {
	w := &runWatcher{factory: f, plan: r.Plan, live: r.UntilComplete, each: each}
	r.Observer = w
	outcome, err := r.Run(ctx)
	w.close()
	if outcome == nil {
		return err
	}
	if outcome.Result != nil {
		reportPass(f, r.Plan, outcome.Result)
	} else {
		fmt.Fprintf(f.Out, "upgradeplan/%s reconciled by the controller: %s\n", r.Plan, status.Line(outcome.Status))
	}
	return err
}

// awaitComplete waits until a plan is complete. Any controller or command may carry it out.
func awaitComplete(ctx context.Context, f *factory, s store.Store, plan string, interval time.Duration) error {
	w := &runWatcher{factory: f, plan: plan, live: true}
	defer w.close()
	r := runner.Runner{Store: s, Plan: plan, Now: f.Now, UntilComplete: true, Interval: interval, Observer: w}
	return r.Await(ctx)
}

// reportPass prints what the last pass did.
func reportPass(f *factory, plan string, r *upgradeplan.Result) {
	did := "nothing to write"
	if r.Written.Transactions > 0 {
		did = fmt.Sprintf("granted %s, %s in %s", wording.Count(r.Starts, "host"), wording.Count(r.Written.Writes, "write"),
			wording.Count(r.Written.Transactions, "transaction"))
	}
	fmt.Fprintf(f.Out, "upgradeplan/%s reconciled: %s (%s)\n", plan, status.Line(r.Status), did)
	if message := r.Decision.Gate.Message; message != "" {
		f.say("%s", message)
	}
	for _, text := range r.Decision.Warnings {
		f.warn("%s", cli.OneLine(text))
	}
}

// runWatcher shows the progress of a runner. It opens the display with the first pass.
type runWatcher struct {
	*factory
	plan     string
	live     bool
	each     func(*pass.Assessment)
	progress progress
}

func (w *runWatcher) Waiting(holder *leaderelection.LockHeldError) {
	w.say("%s: waiting for it", holder)
}

func (w *runWatcher) Following(leader *leaderelection.LockHeldError) {
	w.close()
	w.say("%s is the leader and will reconcile; following its progress", leader.Holder)
}

func (w *runWatcher) Observed(o *pass.Assessment, s v1alpha1.UpgradePlanStatus) {
	if w.progress == nil {
		w.progress = newProgress(w.factory, w.live)
	}
	w.progress.show(w.plan, s)
	if w.each != nil {
		w.each(o)
	}
}

func (w *runWatcher) Retrying(err error) {
	if w.progress == nil {
		w.progress = newProgress(w.factory, w.live)
	}
	w.progress.failed(err)
}

// close ends the display and leaves the last frame.
func (w *runWatcher) close() {
	if w.progress != nil {
		w.progress.close()
		w.progress = nil
	}
}
