// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chaos kills, stops and disconnects real processes while they upgrade a fleet, and checks the limits after each write.
//
// It holds tests only: a short form for make test, and the long one for make soak. It must not simulate a fault that it can cause
// in a real process. Start reading at chaos_test.go.
package chaos
