// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

const (
	// maxEvents bounds the events that describe plan shows.
	maxEvents = 10
	// maxListed bounds the hosts of one state that describe role lists.
	maxListed = 20
)

// field is a line of describe that only the command line prints. Those with an empty text are left out.
type field struct{ Name, Text string }

// planDescription is what describe plan prints.
type planDescription struct {
	seen      *pass.Assessment
	leader    *leaderelection.LockHeldError
	managedBy string
	events    []fleet.Event
	// plans is the number of plans.
	plans int
}

// warnings are those of the decision, and that watches take turns.
func (d *planDescription) warnings() []string {
	turns := upgradeplan.ExpectedTurns(d.seen, d.plans)
	if !turns.Needed() {
		return d.seen.Decision.Warnings
	}
	return append(slices.Clone(d.seen.Decision.Warnings), fmt.Sprintf("the watches of the controller take turns: %d plans have about "+
		"%d, which share %d connections, so it notices a change within %s", d.plans, turns.Targets, turns.Queries,
		duration.HumanDuration(turns.Delay())))
}

func (d *planDescription) write(w io.Writer) error {
	now := describe.Status(d.seen)
	if err := cli.WriteFields(w, describe.Plan(d.seen, d.leader, d.managedBy)); err != nil {
		return err
	}
	for _, write := range []func() error{
		func() error { return writeConditions(w, now.Conditions) },
		func() error { return writeRoles(w, now.Roles, now.RolesOmitted) },
		func() error { return writeFailures(w, now) },
		func() error { return writeEvents(w, d.events) },
		func() error { return writeWarnings(w, d.warnings()) },
		func() error { return writeWhy(w, describe.Why(d.seen.Why().Plan())) },
		func() error { return writeStarts(w, d.seen) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// writeSection writes a title and a table below it, and then how many rows are missing and which command shows them.
func writeSection(w io.Writer, title string, header []string, rows [][]string, missing int, command string) error {
	if len(rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w, title+":"); err != nil {
		return err
	}
	err := cli.WriteTable(w, "  ", header, rows)
	if err == nil && missing > 0 {
		_, err = fmt.Fprintf(w, "  and %d more: %s\n", missing, command)
	}
	return err
}

func writeConditions(w io.Writer, conditions []metav1.Condition) error {
	var rows [][]string
	for _, c := range conditions {
		rows = append(rows, []string{c.Type, string(c.Status), c.Reason, describe.Stamp(c.LastTransitionTime.Time), c.Message})
	}
	return writeSection(w, "Conditions", []string{"TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"}, rows, 0, "")
}

func writeRoles(w io.Writer, roles []v1alpha1.RoleStatus, omitted int) error {
	var rows [][]string
	for i := range roles {
		rows = append(rows, append(roleCells(&roles[i]), roles[i].Group, roles[i].BlockedBy))
	}
	header := []string{"ROLE", "HOSTS", "UPGRADED", "UPGRADING", "PENDING", "FAILED", "HELD", "IN-FLIGHT", "LIMIT", "GROUP", "BLOCKED-BY"}
	return writeSection(w, "Roles", header, rows, omitted, "upgradectl get roles")
}

// writeFailures writes the first hosts that have failed, and how many more have.
func writeFailures(w io.Writer, s v1alpha1.UpgradePlanStatus) error {
	var rows [][]string
	for _, f := range s.Failures {
		rows = append(rows, []string{f.Host, f.Reason, f.Message})
	}
	return writeSection(w, "Failures", []string{"HOST", "REASON", "MESSAGE"}, rows, s.Hosts.Failed-len(rows),
		"upgradectl get hosts --state failed")
}

func writeEvents(w io.Writer, events []fleet.Event) error {
	kind, rows := eventKind(), [][]string(nil)
	for i := max(0, len(events)-maxEvents); i < len(events); i++ {
		rows = append(rows, kind.row(&events[i])[:kind.narrow])
	}
	return writeSection(w, "Events", kind.header[:kind.narrow], rows, 0, "")
}

func writeWarnings(w io.Writer, warnings []string) error {
	if len(warnings) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, "Warnings:")
	for _, text := range warnings {
		_, err = fmt.Fprintln(w, "  "+cli.OneLine(text))
	}
	return err
}

// writeWhy writes a chain of reasons.
func writeWhy(w io.Writer, chain []describe.Reason) error {
	var rows [][]string
	for _, r := range chain {
		rows = append(rows, []string{r.Of, r.Message, r.Change})
	}
	return writeSection(w, "Why", []string{"OF", "REASON", "WHAT WOULD CHANGE IT"}, rows, 0, "")
}

// writeStarts writes which hosts start next, if no host fails.
func writeStarts(w io.Writer, o *pass.Assessment) error {
	var rows [][]string
	for _, s := range describe.Starts(o) {
		rows = append(rows, []string{s.Host, s.When, describe.Stamp(s.Time), s.Message})
	}
	title := "Next starts, if each host takes " + simulate.FormatDuration(simulate.DefaultDuration)
	return writeSection(w, title, []string{"HOST", "WHEN", "TIME", "MESSAGE"}, rows, 0, "")
}

func writeRole(w io.Writer, o *pass.Assessment, r *describe.Role, hosts []describe.Host) error {
	if err := cli.WriteFields(w, r.Facts(o)); err != nil {
		return err
	}
	for _, state := range describe.States() {
		var rows [][]string
		for i := range hosts {
			if h := &hosts[i]; h.Role == r.Name && h.State == state {
				rows = append(rows, []string{h.Name, cmp.Or(h.Version, "none"), h.Message})
			}
		}
		command := fmt.Sprintf("upgradectl get hosts --role %s --state %s", r.Name, state)
		listed := rows[:min(len(rows), maxListed)]
		err := writeSection(w, state, []string{"HOST", "VERSION", "MESSAGE"}, listed, len(rows)-len(listed), command)
		if err != nil {
			return err
		}
	}
	return writeWhy(w, describe.Why(o.Why().Role(r.Name)))
}
