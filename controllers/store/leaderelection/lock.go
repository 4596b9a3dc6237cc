// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package leaderelection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// ErrLost says that the lock is no longer held: nothing may be written. It is the cause of the end of Lease.Context, and the
// errors of everything that writes under the lock wrap it (see CheckFence).
var ErrLost = errors.New("the lock was lost")

// Kind is what kind of process holds a lock.
type Kind string

const (
	// KindController leads until it ends, and carries out every plan.
	KindController Kind = "controller"
	// KindCLI is a command, which holds the lock for its own plan and then ends.
	KindCLI Kind = "cli"
)

// ControllerName begins the Holder of each controller. Commands of versions that know no Kind look for it.
const ControllerName = "upgrade-controller"

// LockHeldError says who holds the lock. Everything but Key is what the holder wrote there, and is empty when that cannot be
// read.
type LockHeldError struct {
	Key string `json:"-"`
	// Holder is the readable name of the process.
	Holder string    `json:"holder"`
	Kind   Kind      `json:"kind,omitempty"`
	Since  time.Time `json:"since"`
}

func (e *LockHeldError) Error() string {
	switch {
	case e.Holder == "":
		return fmt.Sprintf("the lock %s is held by an unknown process", e.Key)
	case e.Since.IsZero():
		return fmt.Sprintf("the lock %s is held by %s", e.Key, e.Holder)
	}
	return fmt.Sprintf("the lock %s is held by %s since %s", e.Key, e.Holder, e.Since.UTC().Format(time.RFC3339))
}

// LockHolder returns who holds the lock. Nil means that it is free.
func LockHolder(ctx context.Context, s store.Reader, key string) (*LockHeldError, error) {
	pairs, _, err := s.Get(ctx, key)
	if err != nil || pairs[0].Session == "" {
		return nil, err
	}
	return decodeHolder(key, pairs[0].Value), nil
}

// decodeHolder reads the value of a lock that is held. A value that cannot be read was overwritten: the lock is held all the
// same. Versions before Kind wrote none, so theirs follows from the name.
func decodeHolder(key string, value []byte) *LockHeldError {
	held := &LockHeldError{}
	if json.Unmarshal(value, held) != nil {
		held = &LockHeldError{}
	}
	held.Key = key
	switch {
	case held.Kind != "" || held.Holder == "":
	case strings.HasPrefix(held.Holder, ControllerName):
		held.Kind = KindController
	default:
		held.Kind = KindCLI
	}
	return held
}

// CheckFence returns the error of a transaction that began with a check of the lock. It wraps ErrLost when that check failed.
func CheckFence(err error, key string) error {
	conflict, ok := errors.AsType[*store.ConflictError](err)
	if ok && conflict.FailedKey(key) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}
