// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"errors"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// TestHealth_NamesTheFirstDeniedPlan denies many plans, and asks many times.
func TestHealth_NamesTheFirstDeniedPlan(t *testing.T) {
	h := &health{}
	for _, plan := range []string{"e", "b", "a", "d", "c"} {
		h.ended(plan, &store.ForbiddenError{Key: plan, Err: errors.New("denied")})
	}
	for range 100 {
		if denied, ok := errors.AsType[*store.ForbiddenError](h.firstDenied()); !ok || denied.Key != "a" {
			t.Fatalf("%v", denied)
		}
	}
	for _, plan := range []string{"a", "b", "c", "d", "e"} {
		h.ended(plan, nil)
	}
	if err := h.firstDenied(); err != nil {
		t.Errorf("no plan is denied: %v", err)
	}
}
