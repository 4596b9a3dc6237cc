// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package audit is the audit log of a plan: entries, each with the hash of the one before.
//
// Start with Head.Next, which says which entries the orders of a plan need, and Verify, which checks a stored log. The package
// reads and writes nothing: controllers/upgradeplan writes the log, and upgradectl audit shows it.
package audit
