// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package findings prints what the commands named check have found. Start reading at Result.
package findings

import (
	"fmt"
	"io"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/diagnose"
)

// Text is the format of a table.
const Text = "text"

// Result is what check -o json prints.
type Result struct {
	Problems int                `json:"problems"`
	Warnings int                `json:"warnings"`
	Checks   []diagnose.Finding `json:"checks"`
}

// New counts findings.
func New(found []diagnose.Finding) Result {
	r := Result{Checks: found}
	for _, f := range found {
		switch f.Level {
		case diagnose.Problem:
			r.Problems++
		case diagnose.Warning:
			r.Warnings++
		}
	}
	return r
}

// Print writes the findings to out, and the numbers to messages if the format is Text.
func (r Result) Print(out, messages io.Writer, format string) error {
	if format != Text {
		return cli.Print(out, format, r)
	}
	rows := make([][]string, 0, len(r.Checks))
	for _, f := range r.Checks {
		text := f.Message
		if f.Action != "" {
			text += "; " + f.Action
		}
		rows = append(rows, []string{string(f.Level), f.Check, text})
	}
	if err := cli.WriteTable(out, "", []string{"LEVEL", "CHECK", "RESULT"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(messages, "%s, %s\n", wording.Count(r.Problems, "problem"), wording.Count(r.Warnings, "warning"))
	return err
}

// Err is the error of the command, which sets its exit code. Strict counts warnings, too.
func (r Result) Err(strict bool) error {
	if r.Problems > 0 || strict && r.Warnings > 0 {
		return &cli.ExitError{Code: cli.ExitFailed}
	}
	return nil
}
