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
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// sidebarRetry is the delay after a failed read of the events or the lock.
const sidebarRetry = 2 * time.Second

// newProgram returns a program that shows a plan on a terminal: inline, or on the whole screen. Nil in means no key presses.
func newProgram(f *factory, plan string, in io.Reader, out io.Writer, inline bool) *tea.Program {
	w := top.Window{Inline: inline, Color: f.Getenv("NO_COLOR") == ""}
	profile := colorprofile.ANSI
	if !w.Color {
		profile = colorprofile.ASCII
	}
	return tea.NewProgram(top.New(plan, w, f.Now), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler(),
		tea.WithColorProfile(profile), tea.WithEnvironment([]string{"TERM=" + f.Getenv("TERM")}), tea.WithWindowSize(80, 24))
}

// observedFunc is called with each observation of a plan. The watch ends when it returns true or an error.
type observedFunc func(*pass.Assessment) (done bool, err error)

// liveScreen shows a plan on a terminal.
type liveScreen struct {
	*factory
	store  store.Store
	plan   string
	inline bool
	// fatal decides which errors end the watch before the first observation.
	fatal func(error) bool
	// observed ends the watch. Nil means that only the operator ends it.
	observed observedFunc
}

// run shows the plan until the operator quits, the context ends or the watch ends. It returns true if the operator quits.
func (l *liveScreen) run(ctx context.Context) (quit bool, err error) {
	p := newProgram(l.factory, l.plan, l.In, l.raw.Out, l.inline)
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	var watched error
	group.Go(func() {
		defer p.Quit()
		watched = l.watch(ctx, p)
	})
	group.Go(func() { l.watchSidebar(ctx, p) })
	final, err := p.Run()
	cancel()
	group.Wait()
	if model, ok := final.(top.Model); ok && model.Quit {
		return true, nil
	}
	return false, cmp.Or(err, watched)
}

func (l *liveScreen) failed(p *tea.Program) func(error) {
	return func(err error) { p.Send(top.Failed{Text: err.Error(), At: l.Now()}) }
}

func (l *liveScreen) watch(ctx context.Context, p *tea.Program) error {
	return watchPlan(ctx, l.factory, l.store, l.plan, l.fatal, l.failed(p), func(o *pass.Assessment) (bool, error) {
		p.Send(top.Of(o))
		if l.observed == nil {
			return false, nil
		}
		return l.observed(o)
	})
}

// errWatchDone ends a watch without an error.
var errWatchDone = errors.New("the watch is done")

// watchPlan calls observed whenever a plan changes, until the context ends or observed ends the watch. After an error it calls
// failed and tries again. Before the first observation, an error for which fatal returns true ends the watch.
func watchPlan(ctx context.Context, f *factory, s store.Store, plan string, fatal func(error) bool, failed func(error),
	observed observedFunc) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var started atomic.Bool
	follower := upgradeplan.Follower{Store: s, Plan: plan, Now: f.Now, Failed: func(err error) {
		if !started.Load() && fatal(err) {
			cancel(err)
			return
		}
		failed(err)
	}}
	err := follower.Follow(ctx, func(o *pass.Assessment) error {
		started.Store(true)
		done, err := observed(o)
		if done && err == nil {
			return errWatchDone
		}
		return err
	})
	if errors.Is(err, errWatchDone) {
		return nil
	}
	return cmp.Or(err, context.Cause(ctx))
}

// watchSidebar reads the leader and the events whenever they change.
func (l *liveScreen) watchSidebar(ctx context.Context, p *tea.Program) {
	failed := l.failed(p)
	set := store.NewWatchSet(l.store, store.WatchSetOptions{MinInterval: watchGap,
		Failed: func(_ store.WatchTarget, err error) { failed(err) }})
	defer set.Stop()
	set.SetWatches(ctx, []store.Watch{store.WatchKeys(keys.Leader), store.WatchKeys(keys.Plan(l.plan).Events())})
	for wait := time.Duration(-1); ; {
		if _, ok := set.Wait(ctx, wait); !ok {
			return
		}
		sidebar, err := l.readSidebar(ctx)
		wait = -1
		if _, away := errors.AsType[*store.UnavailableError](err); away {
			wait = sidebarRetry
			continue
		}
		if err != nil {
			sidebar = top.Sidebar{Leader: sidebar.Leader, Problem: err.Error()}
		}
		p.Send(sidebar)
	}
}

func (l *liveScreen) readSidebar(ctx context.Context) (top.Sidebar, error) {
	held, err := lockHolder(ctx, l.store)
	if err != nil {
		return top.Sidebar{}, err
	}
	leader := "no leader"
	if held != nil {
		leader = "leader: " + cmp.Or(held.Holder, "unknown")
	}
	events, err := planstore.Plans{Store: l.store}.Events(ctx, l.plan)
	return top.Sidebar{Leader: leader, Events: events}, err
}

// warnOnce warns on the first failure of a streak.
type warnOnce struct {
	*factory
	mu      sync.Mutex
	failing bool
}

func (w *warnOnce) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.failing {
		w.warn("%v: trying again", err)
	}
	w.failing = true
}

func (w *warnOnce) succeeded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = false
}
