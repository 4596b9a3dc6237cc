// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gittest creates Git repositories for tests, and serves them on loopback.
//
// It needs the git, sshd and gpg programs of the machine: see Need. Production code must not import it. Start reading at New
// and ServeHTTPS.
package gittest
