// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/top"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// asideRetry is how long to wait after the events or the lock could not be read.
const asideRetry = 2 * time.Second

// errSeenAll ends a watch: what was waited for has been seen.
var errSeenAll = errors.New("all has been seen")

// plain says that a terminal cannot do more than print lines.
func (c *cli) plain() bool { return c.Getenv("TERM") == "dumb" }

// program shows a plan on a terminal: inline, or in place of all else. Without an input nobody can press a key.
func (c *cli) program(plan string, in io.Reader, out io.Writer, inline bool) *tea.Program {
	w := top.Window{Inline: inline, Color: c.Getenv("NO_COLOR") == ""}
	profile := colorprofile.ANSI
	if !w.Color {
		profile = colorprofile.ASCII
	}
	return tea.NewProgram(top.New(plan, w, c.Now), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler(),
		tea.WithColorProfile(profile), tea.WithEnvironment([]string{"TERM=" + c.Getenv("TERM")}), tea.WithWindowSize(80, 24))
}

// live is a look at a plan on a terminal.
type live struct {
	*cli
	plans  upgradeplan.Plans
	store  store.Store
	plan   string
	inline bool
	// fatal says which failures end it while nothing has been seen.
	fatal func(error) bool
	// seen is told of each observation, and ends the look with errSeenAll or another error. Nil: only the person ends it.
	seen func(*upgradeplan.Observation) error
}

// run shows the plan until somebody quits (then it says so), the context ends or the plan can be watched no longer.
func (l *live) run(ctx context.Context) (quit bool, err error) {
	p := l.program(l.plan, l.In, l.Out, l.inline)
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	var watched error
	group.Go(func() {
		defer p.Quit()
		watched = l.watch(ctx, p)
	})
	group.Go(func() { l.asides(ctx, p) })
	final, err := p.Run()
	cancel()
	group.Wait()
	if model, ok := final.(top.Model); ok && model.Quit {
		return true, nil
	}
	return false, cmp.Or(err, watched)
}

func (l *live) failed(p *tea.Program) func(error) {
	return func(err error) { p.Send(top.Failed{Text: err.Error(), At: l.Now()}) }
}

func (l *live) watch(ctx context.Context, p *tea.Program) error {
	return l.watchPlan(ctx, l.store, l.plan, l.fatal, l.failed(p), func(o *upgradeplan.Observation) error {
		p.Send(top.Of(o))
		if l.seen == nil {
			return nil
		}
		return l.seen(o)
	})
}

// watchPlan tells seen of a plan whenever it changes, until the context ends or seen returns an error, which is its own then.
// A look that fails is told to failed and tried again; while nothing has been seen, it ends with that error if it is fatal.
func (c *cli) watchPlan(ctx context.Context, s store.Store, plan string, fatal func(error) bool, failed func(error),
	seen func(*upgradeplan.Observation) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun atomic.Bool
	f := upgradeplan.Follower{Store: s, Plan: plan, Now: c.Now, Failed: func(err error) {
		if !begun.Load() && fatal(err) {
			cancel(err)
			return
		}
		failed(err)
	}}
	err := f.Follow(ctx, func(o *upgradeplan.Observation) error {
		begun.Store(true)
		return seen(o)
	})
	return cmp.Or(err, context.Cause(ctx))
}

// asides tells of the leader and of events whenever they change.
func (l *live) asides(ctx context.Context, p *tea.Program) {
	failed := l.failed(p)
	bells := store.NewWatchSet(l.store, store.WatchSetOptions{MinInterval: watchGap, Failed: func(_ store.WatchTarget, err error) { failed(err) }})
	defer bells.Stop()
	bells.SetWatches(ctx, []store.Watch{store.WatchKeys(keys.Leader), store.WatchKeys(keys.Plan(l.plan).Events())})
	for wait := time.Duration(-1); ; {
		if _, ok := bells.Wait(ctx, wait); !ok {
			return
		}
		aside, err := l.aside(ctx)
		switch {
		case err == nil:
			wait = -1
			p.Send(aside)
		case errors.As(err, new(*store.UnavailableError)):
			wait = asideRetry
		default:
			wait = -1
			p.Send(top.Aside{Leader: aside.Leader, Problem: err.Error()})
		}
	}
}

func (l *live) aside(ctx context.Context) (top.Aside, error) {
	held, err := leaderelection.LockHolder(ctx, l.store, keys.Leader)
	if err != nil {
		return top.Aside{}, err
	}
	leader := "nobody leads"
	if held != nil {
		leader = "led by " + cmp.Or(held.Holder, "somebody unknown")
	}
	var events []fleet.Event
	events, err = l.plans.Events(ctx, l.plan)
	return top.Aside{Leader: leader, Events: events}, err
}

// doubts warns of failures, but not again before all was well.
type doubts struct {
	*cli
	mu   sync.Mutex
	told bool
}

func (d *doubts) failed(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.told {
		d.warn(err.Error() + ": trying again")
	}
	d.told = true
}

func (d *doubts) well() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = false
}
