// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package storetest is the conformance suite of store.Store. The stores in memory and in Consul both pass it, so a test on
// the memory store says what happens with Consul. Run has the table of its tests.
package storetest
