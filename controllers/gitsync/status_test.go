// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"testing"
	"time"
)

// The times of a status have no fractions, and the clock of the controller can go back.
func TestStatus_DurationIsNeverNegative(t *testing.T) {
	started := time.Unix(1_800_000_000, 500_000_000)
	for took, want := range map[time.Duration]float64{200 * time.Millisecond: 0.2, 2 * time.Second: 2, -time.Hour: 0} {
		var s Status
		s.succeeded(Content{Revision: "main"}, Changes{}, started, started.Add(took))
		if s.Synced.Seconds != want {
			t.Errorf("%s: %g s", took, s.Synced.Seconds)
		}
		if sync := newSync("default", "main", started, started.Add(took), nil); sync.Duration.Seconds() != want {
			t.Errorf("%s: observed %s", took, sync.Duration)
		}
	}
}
