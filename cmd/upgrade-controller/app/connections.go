// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"time"

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
	// lease is for the lock alone.
	lease store.Store
}

func newStores(c consul.Config) (*stores, error) {
	c.MaxConnections = leaseConnections()
	lease, err := consul.New(c)
	if err != nil {
		return nil, err
	}
	c.MaxConnections = consul.Connections{Reads: readConnections, Writes: writeConnections, Waits: store.PoolQueries}
	work, err := consul.New(c)
	if err != nil {
		return nil, err
	}
	watches := store.NewWatchPool(work, store.PoolQueries)
	return &stores{work: store.PooledStore{Store: work, Pool: watches}, watches: watches, lease: lease}, nil
}

// turns returns how many targets are watched, and how late a change is noticed at most.
func (s *stores) turns() (targets int, delay time.Duration) {
	t := s.watches.Turns()
	return t.Targets, t.Delay()
}

func (s *stores) close() { s.watches.Close() }
