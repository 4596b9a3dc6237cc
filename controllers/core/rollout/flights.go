// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import "time"

// Bases returns the base state of each host before a pass grants any, in the order of Fleet.Hosts. It costs a fraction of
// Compute.
func Bases(in Input) []State {
	facts, _ := classify(in)
	bases := make([]State, len(facts))
	for i := range facts {
		bases[i] = facts[i].base(&in.Fleet.Hosts[i])
	}
	return bases
}

// Flight is a host in flight.
type Flight struct {
	// Index is the position of the host in Fleet.Hosts, and so in Verdicts.
	Index int
	// Since is the later of its grant and its start, or when its soak began. Zero means unknown.
	Since time.Time
	// Due is when the host fails unless it is upgraded. Zero means that it has failed, that it soaks, or unknown.
	Due time.Time
}

// Flights returns the hosts in flight before a pass grants any, in the order of Fleet.Hosts. It costs a fraction of
// Compute.
func Flights(in Input) []Flight {
	facts, _ := classify(in)
	deadline := in.Plan.Deadline()
	var flights []Flight
	for i := range facts {
		f := &facts[i]
		if !f.inFlight() {
			continue
		}
		flight := Flight{Index: i, Since: f.since}
		if !f.upgraded() && !f.failed() && !f.since.IsZero() {
			flight.Due = f.since.Add(deadline)
		}
		flights = append(flights, flight)
	}
	return flights
}
