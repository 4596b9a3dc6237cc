// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package names validates segments of keys: names of versions, roles, hosts and plans.
//
// It must not import other packages of ours, because agents use it too. Start reading at Segment.
package names
