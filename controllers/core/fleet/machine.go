// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"strings"
	"time"
)

// OtherMachine is a machine whose agent found a report of its host by another machine. It claims the host, and the machine of
// the report answers if it still runs. Each machine compares only its own times: clocks may differ.
type OtherMachine struct {
	Machine string `json:"machine"`
	// Time is when it last claimed the host, by its own clock.
	Time time.Time `json:"time,omitzero"`
	// Answered is when the machine of the report answered that claim, by its own clock. Zero means that it has not.
	Answered time.Time `json:"answered,omitzero"`
	// Duplicate says that both run: the machine of the report has answered a claim.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Machines names the machines of a report, as sentences do.
func (r *Report) Machines() string {
	return ShortMachine(r.Machine) + ", " + ShortMachine(r.Other.Machine)
}

// ShortMachine returns the begin of the identifier of a machine.
func ShortMachine(id string) string {
	const digits = 4
	if len(id) < digits || strings.Trim(id[:digits], "0123456789abcdef") != "" {
		return "?"
	}
	return id[:digits] + "…"
}
