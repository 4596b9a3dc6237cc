// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// syncEvery is the interval of the Git source.
const syncEvery = 40 * time.Second

// branch is what a Git repository holds: the plan, and how often it was pushed.
type branch struct {
	plan    rules
	commits int
	// pushed are the ends of the pushes that no sync has applied.
	pushed []push
}

// push is a commit that waits for its sync.
type push struct {
	commit int
	end    func(error)
}

// push commits another plan.
func (w *world) push(plan rules) {
	w.branch.plan = plan.clone()
	w.branch.commits++
	w.branch.pushed = append(w.branch.pushed, push{w.branch.commits, w.referee.lifts("aborted", "fleet")})
	w.note("fault", fmt.Sprintf("push commit %d: version %s", w.branch.commits, plan.Version), "")
}

// syncer is the Git source of a controller that leads. It applies what the branch holds, fenced by the lock, as gitsync does.
type syncer struct{ process *process }

func (s syncer) Run(ctx context.Context, session string) error {
	w, last := s.process.world, 0
	plans := planstore.ManagedPlans{Store: port(s), Session: session}
	for backoff.Sleep(ctx, syncEvery) == nil {
		if s.process.disk(ctx, "fetch the branch") != nil {
			continue
		}
		w.mu.Lock()
		plan, commit := w.branch.plan.clone(), w.branch.commits
		w.mu.Unlock()
		if commit == last {
			continue
		}
		origin := fleet.Origin{Source: "git", Path: "fleet.yaml", Revision: fmt.Sprint(commit)}
		_, err := plans.Apply(ctx, plan.plan(), origin, nil, false)
		switch {
		case errors.Is(err, leaderelection.ErrLost):
			return err
		case err == nil:
			last = commit
			w.synced(s.process.name, commit)
		}
	}
	return nil
}

// synced notes that a commit was applied, which ends its push and those before.
func (w *world) synced(process string, commit int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := func(error) {
		for len(w.branch.pushed) > 0 && w.branch.pushed[0].commit <= commit {
			w.branch.pushed[0].end(nil)
			w.branch.pushed = w.branch.pushed[1:]
		}
	}
	w.ended = append(w.ended, ended{0, line{time.Since(w.begun), process, fmt.Sprintf("sync commit %d", commit), "done"}, nil, end})
}

// Healthy implements manager.Runner.
func (s syncer) Healthy() error { return nil }
