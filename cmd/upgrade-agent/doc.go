// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command upgrade-agent runs on every host. It changes the host's version when it may, and reports.
//
// All of it is in package app. Start reading there.
package main
