// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trust decides whether only trusted users can change a file: root, the user of the process, and those that the
// configuration names. It follows StrictModes of sshd, for every directory from the root on.
//
// It must not read a configuration or run a program. Start reading at Owners.
package trust
