// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package inhibit keeps the machine from shutting down while the host changes its version. It takes an inhibitor lock of
// systemd-logind.
//
// The package must not stop a change: without a lock the step runs all the same. Start reading at WithInhibitor.
package inhibit
