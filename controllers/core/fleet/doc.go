// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet owns the types that describe a fleet at one moment: hosts, their keys, the orders of operators, and what
// the keys should be. Values are immutable once built.
//
// The package must not read or spell keys: that is the task of controllers/core/keys. Start reading at Fleet and Host.
package fleet
