// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import "time"

// Remembered is what a worker believes of a plan, and what it would decide now; nil: it remembers nothing.
func (w *Worker) Remembered(plan string, now time.Time) *Observation {
	m := w.memories[plan]
	if m == nil || m.last == nil {
		return nil
	}
	o := *m.last
	o.Now = now
	o.decide()
	return &o
}
