// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the command line of upgrade-controller. It combines the manager, the sources, the dashboard, the HTTP
// endpoints and systemd's notifications into one process.
//
// It owns flags, the configuration file, exit codes and the order in which the parts stop. It must not plan: packages
// upgradeplan and core do. Start reading at Main and options.run.
package app
