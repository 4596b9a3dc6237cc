// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package diff compares the keys that exist with the keys that should exist. It owns the ordered list of changes and how
// text and JSON output print it.
//
// It imports no other package of this module and knows nothing about what a key means. Start reading at Compute.
package diff
