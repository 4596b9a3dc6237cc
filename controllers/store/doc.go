// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store is what the controllers need of a key-value store with transactions, sessions and indexes, as Consul has them.
//
// It owns the interface Store and what all implementations share: the limits and errors of transactions, watches, and the
// rules of maintenance. store/consul and store/memory implement it, and one conformance suite, store/storetest, tests both.
// Above it, store/leaderelection has the lock of the leader, and store/fleetstore the keys of a fleet.
//
// The package must not know what a key or a value means. Start reading at Store, and then Watch and WatchSet.
package store
