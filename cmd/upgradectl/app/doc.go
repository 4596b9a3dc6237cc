// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of upgradectl.
//
// Each verb has an options struct, a constructor that binds flags to it, and a run function: newCmdApply, applyOptions and
// runApply. The constructor takes a function that replaces the run function, so that tests can check the parsing of a command
// line apart from its behavior. A run function makes calls into other packages and prints: data on stdout, messages on stderr.
// It does not plan: package runner carries plans out.
//
// Start with New, which lists all commands, and factory, which holds what they share.
package app
