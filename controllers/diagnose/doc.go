// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package diagnose finds what is wrong with an installation: its Consul, and the rights of a token.
//
// ReadConsul and CheckRights read, and nothing here writes. Start reading at CheckConsul. Package fleets
// checks controllers, hosts and keys.
package diagnose
