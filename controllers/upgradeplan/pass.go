// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Observer is told of each pass that a worker makes, also of one that failed, by several goroutines at once.
type Observer interface {
	Reconciled(p Pass)
}

// Pass is one pass over a plan, as far as it came.
type Pass struct {
	Plan string
	// Version is the one that the plan carries out, and Status where it stands; empty when the plan could not be read.
	Version string
	Status  v1alpha1.UpgradePlanStatus
	// Failed are the hosts that count and have failed.
	Failed []string
	// Starts are the hosts that were released, Transactions those that were applied, and Conflicts those that were
	// refused because something had moved.
	Starts, Transactions, Conflicts int
	Begun                           time.Time
	Took                            time.Duration
	// Err is *NotFoundError when the plan is gone.
	Err error
}

// observe tells of a pass that began then and ends now.
func (w *Worker) observe(plan string, begun time.Time, r Result, err error) {
	p := Pass{Plan: plan, Status: r.Status, Starts: r.Starts, Transactions: r.Written.Transactions, Conflicts: r.Conflicts,
		Begun: begun, Took: w.Now().Sub(begun), Err: err}
	if r.Observation != nil {
		p.Version = r.Decision.Version
		p.Failed = failed(&r.Decision)
	}
	w.Observer.Reconciled(p)
}

func failed(d *rollout.Decision) []string {
	var hosts []string
	for i := range d.Verdicts {
		if v := &d.Verdicts[i]; v.Counts && v.State == rollout.Failed {
			hosts = append(hosts, v.Host)
		}
	}
	return hosts
}
