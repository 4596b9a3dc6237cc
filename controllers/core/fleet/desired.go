// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

// EnableKey is a host or role whose key must enable it, since Time in Unix seconds.
type EnableKey struct {
	Name string
	Time int64
	// Renew says that the key must be written even if its value stays the same.
	Renew bool
	// Keep leaves an existing key as it is. A key that is older than current_version starts no agent that has a version;
	// writing it, if only its flags, would.
	Keep bool
	// Unhealthy says that required checks fail at the grant.
	Unhealthy bool
}

// StartedMarker is a started marker that the controller keeps on behalf of a legacy host.
type StartedMarker struct {
	Host string
	Started
}

// HostGrant is the grant of a host.
type HostGrant struct {
	Host string
	Grant
}

// Desired is what the keys of a fleet should be.
type Desired struct {
	// Version is that of current_version.
	Version string
	// Switch says that one transaction deletes the tree, so that no host is enabled, and changes the version.
	Switch bool
	// Rollout is the number of the rollout that current_version names. Rewrite says that current_version must be written even
	// if its value stays the same.
	Rollout uint64
	Rewrite bool
	// Pending says that the version must be switched and cannot be yet. Until then the action of the old one stays.
	Pending bool
	// Action is what hosts do instead of an upgrade. Nil means none.
	Action *Action
	// Enabling is the value of keys that enable. Empty means True.
	Enabling string
	// Hosts and Roles are all that must be enabled.
	Hosts, Roles []EnableKey
	// Grants are all grants.
	Grants []HostGrant
	// StartedMarkers are all markers of the controller.
	StartedMarkers []StartedMarker
	// LostMarkers are markers of agents that must not exist.
	LostMarkers []StartedMarker
	// Holds are all that a pause key must show to legacy hosts.
	Holds []Place
}
