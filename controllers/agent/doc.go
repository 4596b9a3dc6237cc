// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agent decides and acts for one host: it reads the keys of the host, starts a change of the version if it may,
// runs the upgrade step, and reports. The rules are those of docs/design/protocol.md, sections 1 to 3.
//
// The package owns the three transactions of an agent (read, start, report). It must not know the planner or plans; the
// step, the version file and the store are given to it. Subpackages have the configuration file and the parts of a step.
//
// Start reading at Agent.Once. A host that is interrupted continues where it stopped: its key started/<host> says which
// change it started, and the version file says which version it reached. So the version file is written after the step and
// before the report.
package agent
