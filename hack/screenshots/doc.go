// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command screenshots takes the pictures of the README. A real Consul, a controller, and a fleet of agents in this process carry
// out a plan. A browser photographs the dashboard, and a pseudo terminal records upgradectl top.
//
// It must not draw anything by itself: each picture is of a real rollout. Start reading at main, then at fleet.go.
package main
