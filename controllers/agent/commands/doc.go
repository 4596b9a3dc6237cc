// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package commands runs the actions of plans. The host defines what the name of a command means, which user runs it and which
// arguments it takes. A client that can write to Consul can only choose among these definitions.
//
// The package must not run anything that the host does not define. Start reading at Commands.Run.
package commands
