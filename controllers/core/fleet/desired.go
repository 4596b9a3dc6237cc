// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

// Grant is a host or role whose key shall enable it, since Time (Unix seconds).
type Grant struct {
	Name string
	Time int64
	// Renew asks to write the key anew although it may say the same.
	Renew bool
	// Keep leaves an existing key as it is. A key that is older than current_version starts no agent that has a version;
	// writing it, if only its flags, would.
	Keep bool
	// Unhealthy says that the host is so as it is granted.
	Unhealthy bool
}

// StartedMarker is a started mark that the controller sets on behalf of a host that was never seen as an agent.
type StartedMarker struct {
	Host string
	Started
}

// Desired is what a fleet's keys shall say.
type Desired struct {
	// Version is what current_version shall be.
	Version string
	// Switch says that the tree is made anew: nobody is enabled any more, and the version changes, at once.
	Switch bool
	// Pending says that the version is to be switched and cannot be yet: what goes with the one that stands stays.
	Pending bool
	// Action is what hosts do instead of an upgrade; nil: nothing.
	Action *Action
	// Enabling is the value of the keys that enable; empty: True.
	Enabling string
	// Hosts and Roles shall be enabled. All others shall not.
	Hosts, Roles []Grant
	// StartedMarkers are all that shall stand.
	StartedMarkers []StartedMarker
	// Holds are all that shall be shown to hosts in the field by a pause key of ours.
	Holds []Place
}
