// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command upgradectl is for operators: it stores plans, shows what they do, and carries them out without a daemon.
//
// All of it is in package app. Start reading there.
package main
