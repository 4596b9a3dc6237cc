// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package status turns a decision into what operators and programs read: the status of a plan, its conditions and its
// events.
//
// It adds no decision of its own and bounds everything that it returns. Start reading at Of.
package status
