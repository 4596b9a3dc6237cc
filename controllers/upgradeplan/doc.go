// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package upgradeplan carries out plans: observe, compute, diff, commit, status.
//
// A Reconciler makes one pass. A Worker makes passes for a manager and caches each fleet between them. A Follower reads for
// viewers and writes nothing. The package decides nothing: controllers/core/pass and controllers/core/rollout do. It writes
// only fenced by the lock; operators' orders are in controllers/planstore.
package upgradeplan
