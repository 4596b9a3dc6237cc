// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

const demoTable = "  %-13s %5v %6v  %s\n"

// demoStats checks the rules of the demo plan while it is carried out.
type demoStats struct {
	hosts int
	// highest is the largest number of hosts that were in flight at once, by group.
	highest map[string]int
	// controllersLeft is how many controllers were not upgraded at the first start of a compute. -1 means no start yet.
	controllersLeft int
}

func newDemoStats() demoStats { return demoStats{highest: map[string]int{}, controllersLeft: -1} }

// observe counts one decision, and returns the verdicts of the hosts that start by it.
func (s *demoStats) observe(d *rollout.Decision) (starts []*rollout.Verdict) {
	s.hosts = len(d.Verdicts)
	inFlight, controllersLeft, computeStarts := map[string]int{}, 0, false
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		if v.InFlight {
			inFlight[v.Group]++
		}
		if v.Role == "controller" && !v.Complete {
			controllersLeft++
		}
		if v.Reason == v1alpha1.ReasonStarting {
			starts = append(starts, v)
			computeStarts = computeStarts || v.Role == "compute"
		}
	}
	for group, n := range inFlight {
		s.highest[group] = max(s.highest[group], n)
	}
	if computeStarts && s.controllersLeft < 0 {
		s.controllersLeft = controllersLeft
	}
	return starts
}

// summarize writes the largest numbers, and returns an error if they exceed the limits of the plan.
func (s *demoStats) summarize(w io.Writer, took time.Duration) error {
	took = took.Round(100 * time.Millisecond)
	fmt.Fprintf(w, "All %d hosts reached %s in %s. The most hosts in flight at once:\n\n", s.hosts, demoTo, took)
	fmt.Fprintf(w, demoTable, "GROUP", "LIMIT", "HIGHEST", "")
	broken := s.controllersLeft != 0
	for _, group := range []struct {
		name, note string
		limit      int
	}{
		{"controller", "", 1},
		{"compute", fmt.Sprintf("%d controllers were left at the first start", s.controllersLeft), 3},
		{"cephmon", "stmon, stmonleader and stmonwithosd together", 1},
	} {
		highest := s.highest[group.name]
		broken = broken || highest > group.limit
		fmt.Fprintf(w, demoTable, group.name, group.limit, highest, group.note)
	}
	if broken {
		return errors.New("the rules were broken")
	}
	return nil
}
