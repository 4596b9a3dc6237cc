// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command reference writes the reference of upgradectl's commands into a folder: upgradectl.md, and below man/ a page for
// each command.
//
// It reads the help texts alone and must not have texts of its own. Start reading at main.
package main
