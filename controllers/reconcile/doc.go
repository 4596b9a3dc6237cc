// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reconcile is the contract between controllers/manager, which decides when a plan is reconciled, and
// controllers/upgradeplan, which decides what that means. Neither knows the other.
//
// Reconciling is level-based: a request says what may have changed, to save reads. What to do follows from the state that is
// read, so a change that was missed costs time, and one too many costs a read.
//
// It holds types only and must not import the planner. Start reading at Request and Result.
package reconcile
