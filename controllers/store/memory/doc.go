// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package memory is the store.Store without a server, for tests, simulations and the demo.
//
// It follows Consul's rules of indexes, transactions, sessions and locks, so that a test on it says what happens with Consul.
// One difference remains: Consul has a lock-delay of 1 ms, and this store has none. The suite in store/storetest compares both.
package memory
