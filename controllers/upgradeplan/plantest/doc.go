// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plantest checks in tests that limits hold in every state of a store.
//
// It owns InvariantChecker, which is independent of the planner: it must not import controllers/core/rollout. Start reading at
// InvariantChecker.Look.
package plantest
