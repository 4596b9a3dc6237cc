// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pass is a pass over a plan without its reads and writes: what follows from a snapshot, and what one pass makes of it.
//
// Start with Assess, which turns a Snapshot into an Assessment. Run is the loop of a pass: the reconciler runs it against a
// store, Preview against a snapshot, and controllers/core/simulate against a simulated fleet. The package decides nothing by
// itself: controllers/core/rollout does.
package pass
