// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package top draws the progress of a plan for a terminal.
//
// A frame is a pure function of a [Picture], the time and the [Window]. The [Model] shows one frame after another with
// bubbletea. The package reads nothing from the store. Start with [Frame].
package top
