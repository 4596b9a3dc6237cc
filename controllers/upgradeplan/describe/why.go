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

// Reason is one of a chain of reasons. Each is explained by the next one.
type Reason struct {
	// Of is the name of a host, role/NAME, or plan.
	Of, Message string
	// Change says what would change it. Empty means that nothing has to change.
	Change string
}

// Why renders a chain of reasons of pass.Assessment.Why. It is empty if nothing in it has to change.
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

// maxStarts bounds the number of grants that are predicted, and startsWithin how far ahead.
const (
	maxStarts    = 5
	startsWithin = 8 * 24 * time.Hour
)

// Start is the predicted grant of a host.
type Start struct {
	Host string
	Time time.Time
	// When is the time from now: "now", or "in 5m".
	When string
	// Message is the verdict of the grant.
	Message string
}

// Starts predicts the next grants, if no host fails and each takes simulate.DefaultDuration. It returns at most maxStarts grants,
// within startsWithin.
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
