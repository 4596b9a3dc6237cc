// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan

import (
	"context"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/cache"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
)

// Cached returns the assessment of what a worker has cached of a plan. Nil means that the cache is cold. Values that the worker knows to be missing are read.
func (w *Worker) Cached(ctx context.Context, plan string, now time.Time) (*pass.Assessment, error) {
	s, ok := w.states[plan]
	if !ok || s.cache.State() == cache.Cold {
		return nil, nil
	}
	f, valuesMissing := s.cache.Peek()
	if valuesMissing {
		pairs, _, err := w.Store.Get(ctx, keys.WantedRecords(f.Keys, f.Layout)...)
		if err != nil {
			return nil, err
		}
		f.Keys.Records = append(pairs, f.Keys.Records...)
	}
	return s.assess(cache.Snapshot{Fleet: f}, now), nil
}
