// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The TTLs that Consul allows.
const (
	minTTL = 10 * time.Second
	maxTTL = 24 * time.Hour
)

// newSession is the body of a request to create a session. The session depends on its TTL only, and not on the health of the
// Consul agent's node: one cause of loss is enough. The lock-delay is as short as possible. Its default of 15 s protects writers
// that have no fence.
type newSession struct {
	Name, TTL, LockDelay, Behavior string
	NodeChecks                     []string
}

// CreateSession creates a session. Consul ends it after twice its TTL without renewal.
func (s *Store) CreateSession(ctx context.Context, o store.SessionOptions) (string, error) {
	if o.TTL < minTTL || o.TTL > maxTTL {
		return "", fmt.Errorf("session TTL %s: must be from %s to %s", o.TTL, minTTL, maxTTL)
	}
	behavior := "release"
	if o.DeleteKeys {
		behavior = "delete"
	}
	body, err := json.Marshal(newSession{Name: o.Name, TTL: o.TTL.String(), LockDelay: "1ms", Behavior: behavior,
		NodeChecks: []string{}})
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	r := request{method: http.MethodPut, path: "/v1/session/create", body: body, needs: needSession(),
		accept: []int{http.StatusOK}}
	err = s.write(ctx, r, func(response *http.Response) error {
		if err := json.NewDecoder(response.Body).Decode(&made); err != nil {
			return &lostError{err}
		}
		if made.ID == "" {
			return fmt.Errorf("consul at %s: the answer names no session", s.addr)
		}
		return nil
	})
	return made.ID, err
}

// RenewSession extends a session by its TTL.
func (s *Store) RenewSession(ctx context.Context, id string) error {
	return s.session(ctx, "renew", id, func(response *http.Response) error {
		if response.StatusCode == http.StatusNotFound {
			return store.ErrSessionGone
		}
		return nil
	})
}

// DestroySession ends a session, and releases or deletes what it locks.
func (s *Store) DestroySession(ctx context.Context, id string) error {
	return s.session(ctx, "destroy", id, func(*http.Response) error { return nil })
}

func (s *Store) session(ctx context.Context, verb, id string, answer func(*http.Response) error) error {
	if id == "" {
		return fmt.Errorf("%s a session: its id is required", verb)
	}
	r := request{method: http.MethodPut, path: "/v1/session/" + verb + "/" + url.PathEscape(id), needs: needSession(),
		accept: []int{http.StatusOK, http.StatusNotFound}}
	return s.write(ctx, r, answer)
}
