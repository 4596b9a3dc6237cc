// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of upgrade-agent: run and once, and the commands of jorc that scripts on hosts call.
//
// It owns flags, help and exit codes, and builds the parts of an agent from the configuration file. It must not decide
// whether a host may change: package agent does. Start reading at Main; each command has an options struct with a run method.
package app
