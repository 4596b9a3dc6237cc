// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleetstore reads the keys of a fleet from a store and commits changes to them.
//
// ReadFleet takes a snapshot for the planner. Commit writes changes in fenced transactions. The package encodes no value and
// spells no key by itself: controllers/core/keys does. It decides nothing.
package fleetstore
