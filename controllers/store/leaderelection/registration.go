// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package leaderelection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// registrationTTL is how long a registration lasts without renewal. Consul deletes it after twice that time.
	registrationTTL = 30 * time.Second
	// firstRegisterRetry and maxRegisterRetry bound the pause after a registration that failed.
	firstRegisterRetry = time.Second
	maxRegisterRetry   = 5 * time.Minute
)

// Registration says which controller runs. It is shown to operators, and decides nothing.
type Registration struct {
	// Name is the holder that this controller writes into the lock when it leads.
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// Since is when the controller started.
	Since time.Time `json:"since"`
}

// Register keeps a registration in the store until the context ends, and removes it then. The key belongs to a session of its own,
// so it disappears after the process does. A failure is logged once and tried again. It has no other effect.
func Register(ctx context.Context, s store.Store, r Registration, log logr.Logger) {
	retry := backoff.New(firstRegisterRetry, maxRegisterRetry, 0.1)
	for failed := false; ctx.Err() == nil; {
		registered, err := register(ctx, s, r)
		if registered {
			retry, failed = backoff.New(firstRegisterRetry, maxRegisterRetry, 0.1), false
		}
		if ctx.Err() != nil {
			return
		}
		if !failed {
			log.Info("cannot register this controller, so upgradectl version does not show it; will retry", "why", err.Error())
		}
		failed = true
		_ = backoff.Sleep(ctx, retry.Step()) // the loop checks the context
	}
}

// register registers once, and renews that until it is lost or the context ends.
func register(ctx context.Context, s store.Store, r Registration) (registered bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	session, err := s.CreateSession(bounded, store.SessionOptions{Name: r.Name + ": registration", TTL: registrationTTL, DeleteKeys: true})
	if err != nil {
		return false, err
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		_ = s.DestroySession(clean, session) // else it expires
	}()
	key := keys.Controllers + session
	if _, err := s.Txn(bounded, []store.Op{{Verb: store.Lock, Key: key, Value: keys.EncodeObject(r), Session: session}}); err != nil {
		return false, err
	}
	for backoff.Sleep(ctx, registrationTTL/3) == nil {
		if err := keepRegistered(ctx, s, key, session); err != nil {
			return true, err
		}
	}
	return true, ctx.Err()
}

// keepRegistered renews a registration. The error says that it is certainly lost. Other failures are tried again by the next renewal.
func keepRegistered(ctx context.Context, s store.Store, key, session string) error {
	bounded, cancel := context.WithTimeout(ctx, registrationTTL/3)
	defer cancel()
	if err := s.RenewSession(bounded, session); err != nil {
		if errors.Is(err, store.ErrSessionGone) {
			return err
		}
		return nil
	}
	if pairs, _, err := s.Get(bounded, key); err == nil && pairs[0].Session != session {
		return fmt.Errorf("%s was removed", key)
	}
	return nil
}

// Controller is a controller that runs.
type Controller struct {
	// Registration is what it says itself. A controller of an earlier release has a name alone.
	Registration
	// Leading says that it holds the lock, and LeadingSince for how long.
	Leading      bool
	LeadingSince time.Time
}

// Controllers returns the controllers that run, the leader first, and then by name and start. The holder is that of the lock, which
// may be a command. Nil means that the lock is free. A *store.ForbiddenError comes with what the lock alone says.
func Controllers(ctx context.Context, s store.Reader) ([]Controller, *LockHeldError, error) {
	held, err := LockHolder(ctx, s, keys.Leader)
	if err != nil {
		return nil, nil, err
	}
	pairs, meta, err := s.List(ctx, keys.Controllers)
	_, forbidden := errors.AsType[*store.ForbiddenError](err)
	switch {
	case err != nil && !forbidden:
		return nil, held, err
	case err == nil && meta.Filtered:
		err = &store.ForbiddenError{Key: keys.Controllers, Policy: fmt.Sprintf(`key_prefix %q { policy = "list" }`, keys.Controllers),
			Err: errors.New("the answer leaves keys out")}
	}
	return controllers(pairs, held), held, err
}

// controllers returns who runs. A registration that no session holds is left over.
func controllers(pairs []keys.Pair, held *LockHeldError) []Controller {
	var found []Controller
	leader := held != nil && held.Kind == KindController
	for _, p := range pairs {
		if p.Session == "" {
			continue
		}
		r, err := decodeRegistration(p)
		if err != nil {
			continue
		}
		c := Controller{Registration: r}
		if leader && r.Name == held.Holder {
			c.Leading, c.LeadingSince = true, held.Since
			leader = false
		}
		found = append(found, c)
	}
	if leader { // of an earlier release, or its registration has failed
		found = append(found, Controller{Registration: Registration{Name: keys.Text(held.Holder, keys.MaxName)},
			Leading: true, LeadingSince: held.Since})
	}
	slices.SortFunc(found, func(a, b Controller) int {
		if a.Leading != b.Leading {
			if a.Leading {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Since.Compare(b.Since))
	})
	return found
}

// decodeRegistration reads a registration, and bounds what it says.
func decodeRegistration(p keys.Pair) (Registration, error) {
	r, err := keys.DecodeObject[Registration](p)
	if err != nil {
		return Registration{}, err
	}
	if r.Name == "" {
		return Registration{}, fmt.Errorf("%s has no name", p.Key)
	}
	r.Name, r.Version = keys.Text(r.Name, keys.MaxName), keys.Text(r.Version, keys.MaxName)
	return r, nil
}
