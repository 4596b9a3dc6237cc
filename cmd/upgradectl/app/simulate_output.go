// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// Simulated is what simulate -o json prints. Durations look like 1h5m. Those of waves and roles count from the start.
type Simulated struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Plan       string `json:"plan"`
	Version    string `json:"version"`
	// Start, End, Duration and the fields after them, except Seeds, are those of the first seed.
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Duration string    `json:"duration"`
	Complete bool      `json:"complete"`
	// BlockedBy lists what blocks the rest. It is absent if the rollout is complete.
	BlockedBy []string         `json:"blockedBy,omitempty"`
	Hosts     SimulatedHosts   `json:"hosts"`
	Seeds     SimulatedSeeds   `json:"seeds"`
	Windows   SimulatedWindows `json:"windows,omitzero"`
	// FailureBudgetExceeded is absent if the failure budget is not exceeded.
	FailureBudgetExceeded *SimulatedBudget `json:"failureBudgetExceeded,omitempty"`
	// Rollback is absent if the plan does not roll back.
	Rollback *SimulatedRollback `json:"rollback,omitempty"`
	Roles    []SimulatedRole    `json:"roles"`
	Waves    []SimulatedWave    `json:"waves"`

	outcome  *simulate.Outcome
	budget   bool
	windowed bool
}

// SimulatedHosts counts the hosts that the plan counts, by their result.
type SimulatedHosts struct {
	Total    int `json:"total"`
	Upgraded int `json:"upgraded"`
	Failed   int `json:"failed"`
}

// SimulatedSeeds counts the results of all seeds. P50 and P95 are the durations of complete rollouts, absent if there is none.
type SimulatedSeeds struct {
	Count                 int    `json:"count"`
	Complete              int    `json:"complete"`
	FailureBudgetExceeded int    `json:"failureBudgetExceeded"`
	P50                   string `json:"p50,omitempty"`
	P95                   string `json:"p95,omitempty"`
}

// SimulatedWindows tells whether the rollout ends in the window in which it starts, and when closed windows stop new starts.
type SimulatedWindows struct {
	Inside bool              `json:"inside"`
	Closed []simulate.Period `json:"closedWindows,omitempty"`
}

// SimulatedBudget is when and why the failure budget is exceeded.
type SimulatedBudget struct {
	Time    time.Time `json:"time"`
	After   string    `json:"after"`
	Message string    `json:"message"`
}

// SimulatedRollback is the revision that the plan rolls back to, when it does, and the result.
type SimulatedRollback struct {
	Time     time.Time `json:"time"`
	After    string    `json:"after"`
	Revision int64     `json:"revision"`
	Version  string    `json:"version"`
	// Upgraded is how many of the hosts that count have Version at the end. Complete is true if all have it.
	Upgraded int  `json:"upgraded"`
	Complete bool `json:"complete"`
}

// SimulatedRole is the result of a role.
type SimulatedRole struct {
	Name     string `json:"name"`
	Total    int    `json:"total"`
	Upgraded int    `json:"upgraded"`
	// Start and End are its first grant and its last report, absent if there is none.
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
	// Peak is the highest number in flight at once, first at PeakAt. Limit is absent if there is no limit.
	Peak   int    `json:"peak"`
	PeakAt string `json:"peakAt,omitempty"`
	Limit  *int   `json:"limit,omitempty"`
}

// SimulatedWave is a set of hosts that are granted before the first of them has finished.
type SimulatedWave struct {
	Number int    `json:"number"`
	Start  string `json:"start"`
	// End is absent if a host of the wave never finishes.
	End    string         `json:"end,omitempty"`
	Total  int            `json:"total"`
	Hosts  map[string]int `json:"hosts"`
	Failed int            `json:"failed,omitempty"`
}

// newSimulated returns the output for the outcomes, of which the first one gives the details.
func newSimulated(plan *v1alpha1.UpgradePlan, outcomes []simulate.Outcome) *Simulated {
	o := &outcomes[0]
	s := &Simulated{APIVersion: v1alpha1.APIVersion, Kind: "Simulation", Plan: plan.Name, Version: o.Version, Start: o.Start.UTC(),
		End: o.End.UTC(), Duration: simulate.FormatDuration(o.Duration()), Complete: o.Complete, BlockedBy: o.BlockedBy,
		Hosts: SimulatedHosts{Total: o.Total, Upgraded: o.Upgraded}, Seeds: countSeeds(outcomes), Roles: []SimulatedRole{},
		Waves: []SimulatedWave{}, outcome: o, budget: plan.Spec.FailurePolicy.MaxFailed != nil,
		windowed: len(plan.Spec.Windows.Allow)+len(plan.Spec.Windows.Deny) > 0}
	after := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return simulate.FormatDuration(t.Sub(o.Start))
	}
	failed := map[string]bool{}
	for i := range o.Runs {
		if o.Runs[i].Failed {
			failed[o.Runs[i].Host] = true
		}
	}
	s.Hosts.Failed = len(failed)
	if s.windowed {
		s.Windows = SimulatedWindows{Inside: o.InWindow(), Closed: o.ClosedWindows}
	}
	if !o.FailureBudgetExceededAt.IsZero() {
		at := o.FailureBudgetExceededAt
		s.FailureBudgetExceeded = &SimulatedBudget{Time: at.UTC(), After: after(at), Message: o.FailureBudgetMessage}
	}
	if r := o.Rollback; r != nil {
		s.Rollback = &SimulatedRollback{Time: r.Time.UTC(), After: after(r.Time), Revision: r.Revision, Version: r.Version,
			Upgraded: r.Upgraded, Complete: r.Complete}
	}
	for _, r := range o.Roles {
		s.Roles = append(s.Roles, SimulatedRole{Name: r.Name, Total: r.Total, Upgraded: r.Upgraded, Start: after(r.Start),
			End: after(r.End), Peak: r.Peak, PeakAt: after(r.PeakAt), Limit: r.Limit})
	}
	for _, w := range o.Waves {
		s.Waves = append(s.Waves, SimulatedWave{Number: w.Number, Start: after(w.Start), End: after(w.End), Total: w.Total, Hosts: w.Hosts,
			Failed: w.Failed})
	}
	return s
}

// countSeeds counts the outcomes of all seeds.
func countSeeds(outcomes []simulate.Outcome) SimulatedSeeds {
	s := SimulatedSeeds{Count: len(outcomes)}
	var took []time.Duration
	for i := range outcomes {
		if outcomes[i].Complete {
			s.Complete++
			took = append(took, outcomes[i].Duration())
		}
		if !outcomes[i].FailureBudgetExceededAt.IsZero() {
			s.FailureBudgetExceeded++
		}
	}
	if len(took) > 0 {
		s.P50, s.P95 = simulate.FormatDuration(simulate.Percentile(took, 50)), simulate.FormatDuration(simulate.Percentile(took, 95))
	}
	return s
}

func (s *Simulated) write(w io.Writer) error {
	fields := []field{
		{"Plan", "upgradeplan/" + s.Plan},
		{"Version", s.Version},
		{"Hosts", fmt.Sprintf("%d of %d upgraded, %d failed", s.Hosts.Upgraded, s.Hosts.Total, s.Hosts.Failed)},
		{"Total time", s.durationText()},
		{"Seeds", s.Seeds.text()},
		{"Window", s.windowText()},
		{"Failure budget", s.budgetText()},
	}
	for _, text := range s.BlockedBy {
		fields = append(fields, field{"Blocked by", text})
	}
	if err := cli.WriteFields(w, fields); err != nil {
		return err
	}
	if err := s.writeWaves(w); err != nil {
		return err
	}
	return s.writeRoles(w)
}

func (s *Simulated) durationText() string {
	switch r := s.Rollback; {
	case s.Complete:
		return fmt.Sprintf("%s, from %s to %s", s.Duration, describe.Stamp(s.Start), describe.Stamp(s.End))
	case r != nil && r.Complete:
		return fmt.Sprintf("not complete: all hosts are back at %s after %s, at %s", r.Version, s.Duration, describe.Stamp(s.End))
	case r != nil:
		return fmt.Sprintf("not complete: blocked after %s, at %s, with %d of %d hosts at %s", s.Duration, describe.Stamp(s.End),
			r.Upgraded, s.Hosts.Total, r.Version)
	}
	return fmt.Sprintf("not complete: blocked after %s, at %s", s.Duration, describe.Stamp(s.End))
}

func (s SimulatedSeeds) text() string {
	if s.Count == 1 {
		return "1"
	}
	text := fmt.Sprintf("%d of %d complete", s.Complete, s.Count)
	if s.P50 != "" {
		text += fmt.Sprintf(": p50 %s, p95 %s", s.P50, s.P95)
	}
	if s.FailureBudgetExceeded > 0 {
		text += fmt.Sprintf("; failure budget exceeded in %d", s.FailureBudgetExceeded)
	}
	return text
}

func (s *Simulated) windowText() string {
	switch {
	case !s.windowed:
		return ""
	case s.Windows.Inside:
		return "ends inside the window in which it starts"
	}
	for _, p := range s.Windows.Closed {
		if first := s.outcome.Runs; len(first) > 0 && p.Start.After(first[0].Granted) {
			return "does not end inside the window in which it starts, which closes after " + simulate.FormatDuration(p.Start.Sub(s.Start))
		}
	}
	return "does not end inside a window"
}

func (s *Simulated) budgetText() string {
	switch {
	case s.FailureBudgetExceeded != nil:
		return "exceeded after " + s.FailureBudgetExceeded.After + ": " + s.FailureBudgetExceeded.Message
	case s.budget:
		return "kept"
	}
	return ""
}

// maxWaves bounds the waves in a table.
const maxWaves = 40

func (s *Simulated) writeWaves(w io.Writer) error {
	var rows [][]string
	for _, wave := range s.Waves[:min(len(s.Waves), maxWaves)] {
		var parts []string
		for _, role := range fleet.NaturalKeys(wave.Hosts) {
			parts = append(parts, fmt.Sprintf("%s %d", role, wave.Hosts[role]))
		}
		text := strings.Join(parts, ", ")
		if wave.Failed > 0 {
			text += fmt.Sprintf(" (%d failed)", wave.Failed)
		}
		rows = append(rows, []string{fmt.Sprint(wave.Number), wave.Start, cmp.Or(wave.End, "never"), fmt.Sprint(wave.Total), text})
	}
	return writeSection(w, "Waves", []string{"WAVE", "START", "END", "HOSTS", "BY ROLE"}, rows, len(s.Waves)-len(rows), "-o json")
}

func (s *Simulated) writeRoles(w io.Writer) error {
	var rows [][]string
	for i := range s.Roles {
		r := &s.Roles[i]
		rows = append(rows, []string{r.Name, fmt.Sprint(r.Total), fmt.Sprint(r.Upgraded), r.Start, r.End, fmt.Sprint(r.Peak), r.PeakAt,
			describe.Limit(r.Limit)})
	}
	return writeSection(w, "Roles", []string{"ROLE", "HOSTS", "UPGRADED", "START", "END", "MOST AT ONCE", "AT", "LIMIT"}, rows, 0, "")
}
