// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package checks keeps the checks puppet and validation of a host at its own Consul agent, as jorc did. Each check shows the
// result of the last run of the pipeline step of the same name.
//
// A failure is a warning, not critical. These are checks of the node, and while a node check is critical Consul treats all
// services of the node as failed. Readers (jorc get_failures, spec.healthGate of a plan) treat a warning of these two checks
// as a failure.
//
// The package must not decide anything about a change. Start reading at Reporter.
package checks
