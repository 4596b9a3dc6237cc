// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package planstore stores plans and the orders that operators give: pause, resume, abort, undo, promote, hold, settings. It
// reads plans with their fleets as snapshots for controllers/core/pass.
//
// It carries out no plan: controllers/upgradeplan does. Each order is one fenced or compared transaction that needs no
// controller. Start with Plans for what is written and SnapshotReader for what is read.
package planstore
