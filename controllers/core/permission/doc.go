// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package permission owns the two questions of a host: may it change its version, and may its Puppet run? The agent, the
// planner and the simulator ask the same functions, so that a host in flight means the same to all of them.
//
// The package must not read keys or write sentences: callers build a View and render the Reason. Start reading at Change.
// The rules are those of docs/design/protocol.md, section 2.
package permission
