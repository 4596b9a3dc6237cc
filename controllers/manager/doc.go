// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manager runs a controller that may have standbys. It waits for the lock, and while it holds the lock,
// it reconciles a plan whenever something that the plan depends on may have changed.
//
// It owns the work queue, the lock, the watches and health. It decides nothing about a rollout: see controllers/reconcile for
// its contract with the reconciler. Start reading at Manager.Run, and then loop.run.
package manager
