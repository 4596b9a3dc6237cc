// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import "time"

// Flight is a host that takes a slot.
type Flight struct {
	// Index is its place in Fleet.Hosts, and so in Verdicts.
	Index int
	// Since is when it was released or began, whichever came later, or since when it soaks; zero: that is not known.
	Since time.Time
	// Due is when it has failed, unless it is upgraded by then; zero: it has failed, it soaks, or that is not known.
	Due time.Time
}

// Flights are the hosts in flight, in the order of Fleet.Hosts, before Compute releases anybody. It costs a fraction of
// Compute.
func Flights(in Input) []Flight {
	j := newJudge(in)
	var flights []Flight
	for i := range in.Fleet.Hosts {
		s := j.judge(&in.Fleet.Hosts[i])
		if !s.inFlight {
			continue
		}
		f := Flight{Index: i, Since: s.since}
		if !s.upgraded && !s.failed && !s.since.IsZero() {
			f.Due = j.due(&s)
		}
		flights = append(flights, f)
	}
	return flights
}
