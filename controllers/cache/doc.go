// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cache keeps the keys of a fleet current by changes, so that a pass reads what changed and not the whole fleet.
//
// It owns what to read after a change, and what the reads add up to. It decides nothing: the caller says which hosts are in
// flight, and what it wrote. A Cache belongs to one reader. Start with Cache.Refresh.
package cache
