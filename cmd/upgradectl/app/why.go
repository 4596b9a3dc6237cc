// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"

	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// writeWhy writes a chain of reasons, if there is one.
func writeWhy(w io.Writer, chain []describe.Reason) error {
	if len(chain) == 0 {
		return nil
	}
	var rows [][]string
	for _, r := range chain {
		rows = append(rows, []string{r.Of, r.Message, r.Change})
	}
	_, _ = fmt.Fprintln(w, "Why:")
	return table(w, "  ", []string{"OF", "REASON", "WHAT WOULD CHANGE IT"}, rows)
}

// writeStarts writes which hosts are released next, if all goes well.
func writeStarts(w io.Writer, o *upgradeplan.Observation) error {
	var rows [][]string
	for _, s := range describe.Starts(o) {
		rows = append(rows, []string{s.Host, s.When, describe.Stamp(s.Time), s.Message})
	}
	if len(rows) == 0 {
		return nil
	}
	_, _ = fmt.Fprintf(w, "Next starts, if each host takes %s:\n", simulate.FormatDuration(simulate.DefaultDuration))
	return table(w, "  ", []string{"HOST", "WHEN", "TIME", "MESSAGE"}, rows)
}
