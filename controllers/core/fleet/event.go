// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "time"

// EventType is the type of an event.
type EventType string

// The types of events.
const (
	EventNormal  EventType = "Normal"
	EventWarning EventType = "Warning"
)

// Event reports a change that the controller made or noticed.
type Event struct {
	// Number counts the events of a plan, from 1.
	Number uint64    `json:"number"`
	Time   time.Time `json:"time"`
	Type   EventType `json:"type"`
	// Reason is one word, and Message a sentence.
	Reason string `json:"reason"`
	// Object is plan, host/<name> or a key.
	Object  string `json:"object"`
	Message string `json:"message"`
	// Version is the one that current_version was switched to. Empty for other events, and for those stored by an older
	// controller.
	Version string `json:"version,omitempty"`
}
