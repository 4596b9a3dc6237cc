// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// send reports on a change. It saves the report first, so that a later pass can send it if the store is unavailable, or if
// the agent is killed before it is sent.
func (a *Agent) send(ctx context.Context, o Observation, r fleet.Report) error {
	if err := a.Spool.Save(Unsent{r, o.Own.ReportIndex}); err != nil {
		a.Log.Error(err, "cannot save the report; it is lost if it cannot be sent")
	}
	if _, err := a.Store.Txn(ctx, a.reportOps(o, r)); err != nil {
		return err
	}
	return a.clearSpool()
}

// sendSpooled sends the saved report, unless it is stale. It waits while the report of the host is by another machine.
func (a *Agent) sendSpooled(ctx context.Context, o Observation) (sent bool, err error) {
	if o.foreign() {
		return false, nil
	}
	u, ok, err := a.Spool.Load()
	if err != nil {
		a.Log.Error(err, "cannot read the saved report; it is lost")
	}
	if err != nil || ok && u.stale(o) {
		return false, a.clearSpool()
	}
	if !ok {
		return false, nil
	}
	if _, err := a.Store.Txn(ctx, a.reportOps(o, u.Report)); err != nil {
		return false, fmt.Errorf("write the report: %w", err)
	}
	a.Log.Info("sent a saved report", "version", u.Report.Version, "phase", u.Report.Phase, "time", u.Report.Time)
	return true, a.clearSpool()
}

func (a *Agent) clearSpool() error {
	if err := a.Spool.Clear(); err != nil {
		return fmt.Errorf("delete the saved report: %w", err)
	}
	return nil
}

// stale reports whether the store has a newer report, the host has another version by now, or the change that failed is no
// longer unfinished.
func (u Unsent) stale(o Observation) bool {
	if r := o.Own.Report; r != nil && o.Own.ReportIndex != u.Index && !r.Time.Before(u.Report.Time) {
		return true
	}
	if u.Report.Phase == fleet.PhaseFailed {
		return o.View.Started != u.Report.Version
	}
	return o.View.Local != u.Report.Version
}

// memorySpool keeps the report until the process ends.
type memorySpool struct {
	unsent Unsent
	saved  bool
}

func (m *memorySpool) Load() (Unsent, bool, error) { return m.unsent, m.saved, nil }

func (m *memorySpool) Save(u Unsent) error {
	m.unsent, m.saved = u, true
	return nil
}

func (m *memorySpool) Clear() error {
	*m = memorySpool{}
	return nil
}
