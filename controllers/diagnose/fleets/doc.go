// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleets finds what is wrong with controllers, hosts and keys.
//
// It checks facts that its caller has read, and must not read or write anything itself. Start reading at CheckFleet.
package fleets
