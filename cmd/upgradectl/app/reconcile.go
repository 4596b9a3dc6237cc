// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

const (
	defaultInterval    = 5 * time.Second
	defaultLockTimeout = 30 * time.Second
	// lockLook is the time between two looks at a lock that another holds.
	lockLook = 250 * time.Millisecond
)

// carrying says how a plan is carried out.
type carrying struct {
	untilComplete         bool
	interval, lockTimeout time.Duration
	// begin is called once it is clear who writes, before anything is carried out.
	begin func(ctx context.Context) error
	// each is called with what each pass saw.
	each func(*upgradeplan.Observation)
}

func (c *cli) reconcile() *cobra.Command {
	var f files
	var dry bool
	var changes string
	o := carrying{}
	cmd := &cobra.Command{
		Use:   "reconcile [-f FILE | NAME | --changes FILE]",
		Short: "Carry out a plan without a daemon: one pass, or passes until all hosts are upgraded",
		Long: "Makes one pass: reads the fleet, and writes the keys that the plan's rules ask for. NAME may be left out when\n" +
			"there is one plan. With -f the plan is applied first.\n\n" +
			"There is one writer: it takes the lock that upgrade-controller takes, and waits for it while another command has it.\n" +
			"While an upgrade-controller has it, the plan is applied, and what that makes of it is followed.\n\n" +
			"--changes writes what `upgradectl diff --save` wrote to a file: exactly that, or nothing if a key has moved since. It\n" +
			"needs the lock itself, so no upgrade-controller may be running.",
		Example: "  upgradectl reconcile fleet\n  upgradectl reconcile -f plan.yaml --until-complete --interval 15s\n" +
			"  upgradectl diff -f plan.yaml --save changes.json; upgradectl reconcile --changes changes.json",
		Args: args(cobra.MaximumNArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.planned)
	cmd.AddCommand(c.reconcileSource())
	f.bind(cmd.Flags())
	force := bindForce(cmd.Flags())
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print the keys that would change, and write nothing")
	cmd.Flags().BoolVar(&o.untilComplete, "until-complete", false, "make passes until all hosts are upgraded")
	cmd.Flags().StringVar(&changes, "changes", "", "a file that diff --save wrote, whose changes are written, or - for standard input")
	c.bindColor(cmd)
	o.bind(cmd, defaultInterval)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		if changes != "" {
			if len(args) > 0 || len(f.names) > 0 || dry || o.untilComplete {
				return flagError{errors.New("--changes stands alone: it says which plan, and is one pass")}
			}
			return c.reconcileReviewed(ctx, changes, o.lockTimeout)
		}
		plans, s, err := c.plans()
		if err != nil {
			return err
		}
		plan, err := c.planOf(ctx, plans, f, args)
		if err != nil {
			return err
		}
		if dry {
			return c.preview(ctx, s, plan, len(f.names) > 0)
		}
		if len(f.names) > 0 {
			if err := c.managed(ctx, plans, plan.Name, *force); err != nil {
				return err
			}
			o.begin = func(ctx context.Context) error {
				return c.store(ctx, plans, []manifest.Document{{Plan: plan}}, false)
			}
		}
		return c.carryOut(ctx, s, plan.Name, o)
	})
	return cmd
}

func (o *carrying) bind(cmd *cobra.Command, interval time.Duration) {
	cmd.Flags().DurationVar(&o.interval, "interval", interval, "time between two passes")
	cmd.Flags().DurationVar(&o.lockTimeout, "lock-timeout", defaultLockTimeout, "how long to wait for the lock")
}

// planOf is the plan of the file, of the name, or the only one.
func (c *cli) planOf(ctx context.Context, plans upgradeplan.Plans, f files, args []string) (*v1alpha1.UpgradePlan, error) {
	name, err := only(args)
	switch {
	case err != nil:
		return nil, err
	case name != "" && len(f.names) > 0:
		return nil, flagError{errors.New("give a name or -f, not both")}
	case len(f.names) == 0:
		return c.find(ctx, plans, name)
	}
	documents, err := c.read(f)
	switch {
	case err != nil:
		return nil, err
	case len(documents) > 1:
		return nil, usagef("-f holds %d plans: reconcile takes one at a time", len(documents))
	}
	return documents[0].Plan, nil
}

// preview prints the keys that a pass would change. A plan that is not stored has to pass what apply would say.
func (c *cli) preview(ctx context.Context, s store.Store, plan *v1alpha1.UpgradePlan, fromFile bool) error {
	if fromFile {
		if _, _, err := (upgradeplan.Plans{Store: s}).Apply(ctx, plan, true); err != nil {
			return refused(err)
		}
	}
	o, err := upgradeplan.ObserveAs(ctx, s, plan, c.Now())
	if err != nil {
		return err
	}
	after, changes := o.Preview()
	if changes.Empty() {
		c.say("no key would change: %s", why(after))
	}
	return c.writeDiff(c.Out, changes.String())
}

// why is what stops all new starts, else where the plan stands.
func why(o *upgradeplan.Observation) string {
	if o.Decision.Gate.Message != "" {
		return o.Decision.Gate.Message
	}
	return status.Line(status.Of(&o.Decision, o.Plan.Status, o.Plan.Generation, o.Now))
}

// errNoLeader says that the controller that was followed has given up the lock.
var errNoLeader = errors.New("nobody holds the lock any more")

// syncOnce carries a plan out: by passes of its own, or by following the controller that leads.
func (c *cli) carryOut(ctx context.Context, s store.Store, name string, o carrying) error {
	if o.interval <= 0 || o.lockTimeout < 0 {
		return flagError{errors.New("--interval must be above 0, and --lock-timeout not negative")}
	}
	for {
		lease, leader, err := c.lead(ctx, s, o.lockTimeout)
		if err != nil {
			return err
		}
		if leader == nil {
			return c.passes(lease.Context(), s, lease, name, o) //nolint:contextcheck // it is derived from ctx
		}
		c.say("%s leads: it carries the plan out, and is followed here", leader.Holder)
		if o.begin != nil {
			if err := o.begin(ctx); err != nil {
				return err
			}
			o.begin = nil
		}
		if err := c.follow(ctx, s, name, o, true); !errors.Is(err, errNoLeader) {
			return err
		}
	}
}

// lead takes the lock. When an upgrade-controller has it, that is who leads; for others it waits.
func (c *cli) lead(ctx context.Context, s store.Store, timeout time.Duration) (*leaderelection.Lease, *leaderelection.LockHeldError, error) {
	until := time.Now().Add(timeout)
	holder := fmt.Sprintf("upgradectl of %s (pid %d)", c.Who, os.Getpid())
	told := ""
	for {
		lease, err := leaderelection.TryAcquire(ctx, s, keys.Leader, holder, leaderelection.Options{Kind: leaderelection.KindCLI})
		var held *leaderelection.LockHeldError
		switch {
		case !errors.As(err, &held):
			return lease, nil, err
		case held.Kind == leaderelection.KindController:
			return nil, held, nil
		case !time.Now().Before(until):
			return nil, nil, fmt.Errorf("%w: gave up after %s (--lock-timeout)", held, timeout)
		case told != held.Error():
			told = held.Error()
			c.say("%s: waiting for it", told)
		}
		if err := pause(ctx, lockLook); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", held, err)
		}
	}
}

// passes makes one pass, or passes until the plan is complete or stands still. The context is that of the lease.
func (c *cli) passes(ctx context.Context, s store.Store, lease *leaderelection.Lease, name string, o carrying) (err error) {
	defer func() { err = errors.Join(err, lease.Release()) }()
	if o.begin != nil {
		if err := o.begin(ctx); err != nil {
			return err
		}
	}
	r := upgradeplan.Reconciler{Store: s, Session: lease.Session(), Now: c.Now, Log: c.log()}
	show := c.progress(o.untilComplete)
	defer show.close()
	for {
		result, err := r.Reconcile(ctx, name)
		var away *store.UnavailableError
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &away) && o.untilComplete: // the lease says how long that may last
			show.failed(err)
		case err != nil:
			return err
		default:
			show.show(name, result.Status)
			if o.each != nil {
				o.each(result.Observation)
			}
			done, err := ended(result.Status, &result.Decision)
			if done && o.untilComplete || !o.untilComplete {
				show.close()
				c.report(name, result)
			}
			if !o.untilComplete {
				return nil
			}
			if done || err != nil {
				return err
			}
		}
		if err := pause(ctx, o.interval); err != nil {
			return err
		}
	}
}

// report says what the last pass did.
func (c *cli) report(name string, r upgradeplan.Result) {
	did := "nothing to write"
	if r.Written.Transactions > 0 {
		did = fmt.Sprintf("released %s, %s in %s", plural(r.Starts, "host"), plural(r.Written.Writes, "write"),
			plural(r.Written.Transactions, "transaction"))
	}
	fmt.Fprintf(c.Out, "upgradeplan/%s reconciled: %s (%s)\n", name, status.Line(r.Status), did)
	if message := r.Decision.Gate.Message; message != "" {
		c.say("%s", message)
	}
	for _, text := range r.Decision.Warnings {
		c.warn(oneLine(text))
	}
}

// ended says whether a plan is complete, or (an error) that it cannot go on without somebody.
func ended(s v1alpha1.UpgradePlanStatus, d *rollout.Decision) (bool, error) {
	switch {
	case s.Phase == v1alpha1.PhaseComplete:
		return true, nil
	case s.Phase == v1alpha1.PhaseStalled:
		return false, fmt.Errorf("the rollout has stalled: %s: %s", meta.FindStatusCondition(s.Conditions,
			v1alpha1.ConditionStalled).Message, status.Line(s))
	case stopped(s.Phase) && s.Hosts.InFlight <= s.Hosts.Failed:
		return false, fmt.Errorf("%s: %s", d.Gate.Message, status.Line(s))
	}
	return false, nil
}

// stopped says whether an operator, or a failure budget, keeps the plan from going on.
func stopped(phase v1alpha1.Phase) bool {
	return phase == v1alpha1.PhasePaused || phase == v1alpha1.PhaseAborted || phase == v1alpha1.PhaseHalted
}

// follow shows what somebody else makes of a plan: until it is complete, or until nothing is left for one pass.
func (c *cli) follow(ctx context.Context, s store.Store, name string, o carrying, led bool) error {
	show := c.progress(o.untilComplete)
	defer show.close()
	for {
		seen, err := upgradeplan.Observe(ctx, s, name, c.Now())
		if err != nil {
			return err
		}
		d := seen.Present()
		now := status.Of(&d, seen.Plan.Status, seen.Plan.Generation, seen.Now)
		show.show(name, now)
		if o.each != nil {
			o.each(seen)
		}
		done, err := ended(now, &seen.Decision)
		switch {
		case err != nil && o.untilComplete:
			return err
		case done && o.untilComplete, !o.untilComplete && !seen.Decision.NeedsAnotherPass() && seen.Changes().Empty():
			show.close()
			if led {
				fmt.Fprintf(c.Out, "upgradeplan/%s reconciled by the controller: %s\n", name, status.Line(now))
			}
			return nil
		}
		if led {
			if held, err := leaderelection.LockHolder(ctx, s, keys.Leader); err != nil {
				return err
			} else if held == nil {
				return errNoLeader
			}
		}
		if err := pause(ctx, o.interval); err != nil {
			return err
		}
	}
}

// await waits until a plan is complete, whoever carries it out.
func (c *cli) await(ctx context.Context, s store.Store, name string, interval time.Duration) error {
	if interval <= 0 {
		return flagError{errors.New("--interval must be above 0")}
	}
	return c.follow(ctx, s, name, carrying{untilComplete: true, interval: interval}, false)
}
