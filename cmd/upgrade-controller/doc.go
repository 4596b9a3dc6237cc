// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command upgrade-controller reconciles all plans of a Consul until it is stopped.
//
// All of it is in package app. Start reading there.
package main
