// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// Consul refuses more than 200 connections from one address (limits.http_max_conns_per_client), which other processes of the
// host may use too, and counts a blocking query whose client was killed until its wait ends. So the controller uses 64 at most.
const (
	readConnections  = 10
	writeConnections = 5
)

// leaseConnections are those of the lock: to renew it, to read who holds it, and to stand by for it.
func leaseConnections() consul.Connections { return consul.Connections{Reads: 2, Writes: 2, Waits: 1} }

// stores are the connections of a controller to Consul.
type stores struct {
	// work is for reads and writes, and its waits share the queries of watches.
	work    store.Store
	watches *store.WatchPool
	// lease is for the lock, and for what expires of the credentials that both share.
	lease *consul.Store
}

func newStores(c consul.Config) (*stores, error) {
	c.MaxConnections = leaseConnections()
	lease, err := consul.New(c)
	if err != nil {
		return nil, err
	}
	work := lease.WithConnections(consul.Connections{Reads: readConnections, Writes: writeConnections, Waits: store.PoolQueries})
	watches := store.NewWatchPool(work, store.PoolQueries)
	return &stores{work: store.PooledStore{Store: work, Pool: watches}, watches: watches, lease: lease}, nil
}

// turns returns how many targets are watched, and how late a change is noticed at most.
func (s *stores) turns() (targets int, delay time.Duration) {
	t := s.watches.Turns()
	return t.Targets, t.Delay()
}

// close ends the watches and the token of a login.
func (s *stores) close(log logr.Logger) {
	s.watches.Close()
	if err := s.lease.Logout(context.Background()); err != nil { // the context of the process has ended
		log.Error(err, "cannot log out; the token of the login ends by itself")
	}
}

// watchCredentials reports what expires of the credentials of Consul, each minute until the context ends. Reading that also reads
// their files again. A credential about which Consul says nothing, as about a token that has expired, stays reported.
func watchCredentials(ctx context.Context, read func(context.Context) ([]store.Credential, error), log logr.Logger,
	report func([]store.Credential)) {
	last := map[string]store.Credential{} // by kind
	for ctx.Err() == nil {
		expiring, err := read(ctx)
		if err == nil {
			clear(last)
		} else if ctx.Err() == nil {
			log.V(1).Info("cannot read when the token expires", "reason", err.Error())
		}
		for _, c := range expiring {
			last[c.Kind] = c
		}
		report(slices.Collect(maps.Values(last)))
		_ = backoff.Sleep(ctx, consul.DefaultRereadInterval) // the loop checks the context
	}
}
