// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// writeWhy writes a chain of reasons, unless nothing needs to change.
func writeWhy(w io.Writer, chain []rollout.Link) error {
	var rows [][]string
	open := false
	for _, l := range chain {
		open = open || len(l.Change) > 0
		rows = append(rows, []string{l.Of, l.Message, strings.Join(l.Change, "; or ")})
	}
	if !open {
		return nil
	}
	_, _ = fmt.Fprintln(w, "Why:")
	return table(w, "  ", []string{"OF", "REASON", "WHAT WOULD CHANGE IT"}, rows)
}

// maxStarts is how many starts describe foresees, and startsWithin how far it looks for them.
const (
	maxStarts    = 5
	startsWithin = 8 * 24 * time.Hour
)

// writeStarts writes which hosts are released next, if all goes well.
func writeStarts(w io.Writer, o *upgradeplan.Observation) error {
	var rows [][]string
	for _, run := range nextStarts(o) {
		in := "now"
		if d := run.Released.Sub(o.Now); d > 0 {
			in = "in " + simulate.Short(d)
		}
		rows = append(rows, []string{run.Host, in, stamp(run.Released), run.Why})
	}
	if len(rows) == 0 {
		return nil
	}
	_, _ = fmt.Fprintf(w, "Next starts, if each host takes %s:\n", simulate.Short(defaultDuration))
	return table(w, "  ", []string{"HOST", "WHEN", "TIME", "MESSAGE"}, rows)
}

// nextStarts are the first hosts that are released in a simulation from now on.
func nextStarts(o *upgradeplan.Observation) []simulate.HostRun {
	s := o.Simulate(simulate.Options{Start: o.Now, Gap: time.Second, Duration: simulate.Span{Mean: defaultDuration},
		MaxStarts: maxStarts, Quiet: true, Rand: rand.New(rand.NewPCG(1, 0))})
	var starts []simulate.HostRun
	for _, run := range s.Run(startsWithin).Runs {
		if run.Wave > 0 && len(starts) < maxStarts {
			starts = append(starts, run)
		}
	}
	return starts
}
