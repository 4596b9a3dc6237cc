// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// send reports on a change. The report is kept first: it is sent at a later look if the store is away now, or if the agent
// is killed before it is.
func (a *Agent) send(ctx context.Context, o Observation, r fleet.Report) error {
	if err := a.Spool.Save(Unsent{r, o.ReportIndex}); err != nil {
		a.Log.Error(err, "the report cannot be kept: if it cannot be sent, it is lost")
	}
	if _, err := a.Store.Txn(ctx, a.tell(o, r)); err != nil {
		return err
	}
	return a.unspool()
}

// sendLate sends the report that waits, unless a newer one has been written since, or the host has gone on.
func (a *Agent) sendLate(ctx context.Context, o Observation) (sent bool, err error) {
	u, ok, err := a.Spool.Load()
	if err != nil {
		a.Log.Error(err, "a report that was kept is lost")
	}
	if err != nil || ok && u.overtaken(o) {
		return false, a.unspool()
	}
	if !ok {
		return false, nil
	}
	if _, err := a.Store.Txn(ctx, a.tell(o, u.Report)); err != nil {
		return false, fmt.Errorf("report: %w", err)
	}
	a.Log.Info("has sent a report late", "version", u.Report.Version, "phase", u.Report.Phase, "time", u.Report.Time)
	return true, a.unspool()
}

func (a *Agent) unspool() error {
	if err := a.Spool.Clear(); err != nil {
		return fmt.Errorf("the report that was kept: %w", err)
	}
	return nil
}

// overtaken says whether the report is of the past: a newer one stands in the store, the host has another version by
// now, or is not between two versions any more.
func (u Unsent) overtaken(o Observation) bool {
	if o.Report != nil && o.ReportIndex != u.Index && !o.Report.Time.Before(u.Report.Time) {
		return true
	}
	if u.Report.Phase == fleet.PhaseFailed {
		begun, _ := o.begun()
		return begun != u.Report.Version
	}
	return o.Local != u.Report.Version
}

// memorySpool keeps the report as long as the process lives.
type memorySpool struct {
	unsent Unsent
	held   bool
}

func (m *memorySpool) Load() (Unsent, bool, error) { return m.unsent, m.held, nil }

func (m *memorySpool) Save(u Unsent) error {
	m.unsent, m.held = u, true
	return nil
}

func (m *memorySpool) Clear() error {
	*m = memorySpool{}
	return nil
}
