// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command reference writes the reference of the three programs into a folder: a Markdown page for each program, and below man/
// a manual page for each command.
//
// It reads the help texts alone and must not have texts of its own. Start reading at main.
package main
