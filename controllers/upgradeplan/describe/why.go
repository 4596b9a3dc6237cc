// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

// Reason is one of a chain: what Of names is where it is because of Message, and that because of the next.
type Reason struct {
	// Of is the name of a host, or role/ and that of a role, or plan.
	Of, Message string
	// Change says what would change it; empty: nothing needs to.
	Change string
}

// Why is a chain of reasons as it is shown: see pass.Assessment.Why. It is empty when nothing in it needs to change.
func Why(chain []rollout.Link) []Reason {
	var reasons []Reason
	open := false
	for _, l := range chain {
		open = open || len(l.Change) > 0
		reasons = append(reasons, Reason{l.Of, l.Message, strings.Join(l.Change, "; or ")})
	}
	if !open {
		return nil
	}
	return reasons
}

// maxStarts is how many starts are foreseen, and startsWithin how far one looks for them.
const (
	maxStarts    = 5
	startsWithin = 8 * 24 * time.Hour
)

// Start is a host that will be released.
type Start struct {
	Host string
	Time time.Time
	// When is how long from now that is: now, or in 5m.
	When string
	// Message is the verdict by which it will be released.
	Message string
}

// Starts are the hosts that are released next, if all goes well and each takes simulate.DefaultDuration. They are few, and
// within days; none: nobody is.
func Starts(o *pass.Assessment) []Start {
	s := simulate.From(o, simulate.Options{Start: o.Now, Gap: time.Second, Duration: simulate.Span{Mean: simulate.DefaultDuration},
		MaxStarts: maxStarts, Quiet: true, Rand: rand.New(rand.NewPCG(1, 0))})
	var starts []Start
	for _, run := range s.Run(startsWithin).Runs {
		if run.Wave > 0 && len(starts) < maxStarts {
			starts = append(starts, Start{run.Host, run.Granted, when(run.Granted.Sub(o.Now)), run.Message})
		}
	}
	return starts
}

func when(ahead time.Duration) string {
	if ahead <= 0 {
		return "now"
	}
	return "in " + simulate.FormatDuration(ahead)
}
