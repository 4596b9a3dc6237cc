// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package runner carries out one plan from a command line, without a daemon.
//
// A [Runner] takes the lock of the writer and makes passes with [upgradeplan.Reconciler]. While a controller holds the lock, the
// runner follows what the controller does instead. It never plans by itself and prints nothing: an [Observer] sees each pass.
// Start with [Runner.Run].
package runner
