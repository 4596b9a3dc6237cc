// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keys translates between the store and the fleet model. It owns the spelling of every key and the encoding of
// every value: no other package builds a key or parses a value.
//
// Decode turns a Snapshot, one read of a fleet's keys, into a fleet.Fleet. Render turns a fleet.Desired into the keys that
// should exist. Apply and Patch compute the snapshot that follows a commit or a partial read.
//
// The package decides nothing, does no I/O and never imports core/rollout. Malformed input never fails: it is bounded,
// read as the safe value, and noted. docs/design/protocol.md specifies the keys. Start reading at Layout and Decode.
package keys
