// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.New(time.Now) })
}

func TestSessionExpires(t *testing.T) {
	now := time.Unix(1_782_000_000, 0)
	s := memory.New(func() time.Time { return now })
	storetest.Expiry(t, s, func(d time.Duration) { now = now.Add(d) })
	if passed := now.Sub(time.Unix(1_782_000_000, 0)); passed != 20*time.Second {
		t.Errorf("expired after %s, Consul takes twice the TTL", passed)
	}
}
