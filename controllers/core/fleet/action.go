// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

// Action is what hosts do instead of an upgrade to reach a version: they run a command of that name, which each host
// defines for itself.
type Action struct {
	// Version is the only one that it is for.
	Version string   `json:"version"`
	Name    string   `json:"name"`
	Args    []string `json:"args,omitempty"`
	// TimeoutSeconds bounds the command. Zero means the bound of the host.
	TimeoutSeconds int64 `json:"timeoutSeconds,omitempty"`
}
