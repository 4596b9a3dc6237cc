// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

func TestRetryOnConflict(t *testing.T) {
	conflict := &store.ConflictError{Failed: []store.FailedOp{{Op: store.Op{Verb: store.CAS, Key: "a"}}}}
	lockLost := &store.ConflictError{Failed: []store.FailedOp{{Op: store.Op{Verb: store.CheckSession, Key: "leader"}}}}
	other := errors.New("no answer")
	for _, tt := range []struct {
		name   string
		errors []error // of the first calls; the last one is that of all further calls
		calls  int
		want   error
	}{
		{"success", []error{nil}, 1, nil},
		{"success after conflicts", []error{conflict, conflict, nil}, 3, nil},
		{"conflict each time", []error{conflict}, 5, conflict},
		{"other error", []error{other}, 1, other},
		{"other error after a conflict", []error{conflict, other}, 2, other},
		{"lost lock", []error{lockLost}, 1, lockLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			err := store.RetryOnConflict(t.Context(), func() error {
				calls++
				return tt.errors[min(calls, len(tt.errors))-1]
			})
			if !errors.Is(err, tt.want) || calls != tt.calls {
				t.Errorf("%v after %d calls, want %v after %d", err, calls, tt.want, tt.calls)
			}
		})
	}
}

func TestRetryOnConflict_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := store.RetryOnConflict(ctx, func() error {
		calls++
		cancel()
		return &store.ConflictError{}
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
