// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli holds what the command lines of all binaries share: exit codes, usage errors, arguments, flags that take one
// of several values, and printers.
//
// It knows nothing about plans, hosts or Consul. Start with [Execute] and the errors that it understands: [UsageError] and
// [ExitError].
package cli
