// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// failedAttempts returns how often a host has failed in this rollout, by its report. Zero means that it has not.
func (c *classifier) failedAttempts(h *fleet.Host) int {
	r := h.Report
	if r == nil || r.Phase != fleet.PhaseFailed || r.Version != c.current.Name || r.AttemptRollout != c.current.Rollout {
		return 0
	}
	return r.Attempt
}

// retries reports whether an operator lets a host try again that has not failed again since.
func (c *classifier) retries(h *fleet.Host, started bool) bool {
	order := c.control.Retry
	if order == nil || order.Rollout != c.current.Rollout || !c.byGrant(h) {
		return false
	}
	attempts, ok := order.Hosts[h.Name]
	return ok && attempts != 0 && attempts == c.failedAttempts(h) && (!started || h.Started.Waiting)
}

// orderedAside reports whether an operator set a host aside in this rollout. A host of which only a marker is known is not: the
// marker expires. Nor is one that was silent when the operator gave the order, and started before a pass removed its grant.
func (c *classifier) orderedAside(h *fleet.Host) bool {
	order, ok := c.control.SetAside[h.Name]
	return ok && order.Rollout == c.current.Rollout && !knownByMarker(h) && !order.Misses(h.Started)
}

// retriesUnreported reports whether an operator lets a host try again that was silent, so that no report says that it failed.
func (c *classifier) retriesUnreported(h *fleet.Host) bool {
	order := c.control.Retry
	if order == nil || order.Rollout != c.current.Rollout {
		return false
	}
	attempts, ok := order.Hosts[h.Name]
	return ok && attempts == 0
}

// classifyOrderedAside sets a host aside that an operator set aside, unless it may change its version and has not failed. The operator
// saw a failure, but by a clock that may be ahead of the controller's. An agent that has not started loses its permission.
func (c *classifier) classifyOrderedAside(h *fleet.Host, f *hostFacts) {
	if f.setAside {
		return
	}
	if trial := *f; trial.inFlight() && !(h.Agent() && f.progress == progressGranted) {
		if c.classifyFailure(h, &trial); !trial.failed() {
			f.asideAt = trial.next
			return
		}
	}
	f.setAside, f.retries, f.marked = true, false, false
	f.newcomer = c.newcomer(h, f.marked)
	f.failingSinceGrant = f.requiredCheckFails && c.checksCount(h, f)
}

// setAside reports whether a host gives up its slot because it has failed often enough. A host that failed and has neither marker
// nor grant was set aside before. One whose attempt may still run is set aside by an order alone.
func (c *classifier) setAside(h *fleet.Host, started bool) bool {
	attempts, marker := c.failedAttempts(h), h.Started
	switch {
	case attempts == 0 || !c.byGrant(h) || h.Grant.For(c.current):
		return false
	case !started: // it has no marker, or one of the controller that this pass deletes
		return true
	}
	limit := c.plan.Attempts()
	return limit != 0 && marker.By == "" && marker.Waiting && max(attempts, marker.Attempt) >= limit
}

// classifyAttempts completes the facts of a host that is set aside or may try again. It has failed until it succeeds, so that no
// order frees a place in the failure budget.
func (c *classifier) classifyAttempts(h *fleet.Host, f *hostFacts) {
	f.spent = true
	if c.failedAttempts(h) > 0 {
		f.failedIndex = h.ReportIndex
	}
	if f.retries {
		return
	}
	f.next, f.failure = time.Time{}, v1alpha1.ReasonSetAside
	if order, ok := c.control.SetAside[h.Name]; ok {
		f.orderedAt = order.Time
	}
}
