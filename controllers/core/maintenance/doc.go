// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package maintenance owns the maintenance windows of a plan: whether they are open at a time, and when that changes.
//
// The package must not read time zone files: Compile gets the function that resolves a zone. Start reading at
// Windows.At.
package maintenance
