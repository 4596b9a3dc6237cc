// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package flags holds the flags that several binaries share: the address of Consul, logging, and their shell completion.
//
// It checks values, and leaves exit codes and messages to package cli.
package flags
