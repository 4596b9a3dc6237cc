// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// Remembered is what a worker believes of a plan, with those values of records that it knows it has to read again, and
// what it would decide now; nil: it remembers nothing.
func (w *Worker) Remembered(ctx context.Context, plan string, now time.Time) (*Observation, error) {
	m := w.memories[plan]
	if m == nil || m.last == nil {
		return nil, nil
	}
	o := *m.last
	o.Now = now
	if m.stale {
		pairs, _, err := w.Store.Get(ctx, keys.WantedRecords(o.Raw, o.Layout)...)
		if err != nil {
			return nil, err
		}
		o.Raw.Records = append(pairs, o.Raw.Records...)
	}
	o.decide()
	return &o, nil
}
