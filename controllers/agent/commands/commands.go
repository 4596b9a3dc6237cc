// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Definition defines one command.
type Definition struct {
	// Path is the program. It runs without a shell.
	Path string
	// User runs it. Nil means the user of the agent.
	User *agent.User
	// Args has one pattern for each argument.
	Args []Pattern
	// Timeout is the longest timeout that an action may ask for. 0 means that any is allowed.
	Timeout time.Duration
	// Trust names further users that may change the program.
	Trust trust.Owners
}

// Check returns an error if the program could not be started: it is missing, or untrusted users can change it.
func (d Definition) Check() error { return d.command().Check() }

func (d Definition) command() agent.Command {
	return agent.Command{Path: d.Path, User: d.User, Trust: d.Trust}
}

// Pattern is a regular expression that a whole argument must match.
type Pattern struct {
	text   string
	regexp *regexp.Regexp
}

// Compile compiles a pattern (RE2).
func Compile(text string) (Pattern, error) {
	if _, err := regexp.Compile(text); err != nil { // alone, so that it cannot close the group below
		return Pattern{}, err
	}
	whole, err := regexp.Compile(`\A(?:` + text + `)\z`)
	return Pattern{text, whole}, err
}

// Commands are the commands that this host defines.
type Commands struct {
	Defined map[string]Definition
	// Output gets all that a command writes. Nil means that it is discarded.
	Output io.Writer
}

// RefusedError reports an action that this host does not run.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refused: " + e.Reason }

// Run runs the command that the action names. If it is undefined or its arguments do not match, the error is a
// *RefusedError.
func (c Commands) Run(ctx context.Context, change agent.Change, action fleet.Action) (output string, err error) {
	d, ok := c.Defined[action.Name]
	if !ok {
		return "", &RefusedError{fmt.Sprintf("command %q is not defined on this host", action.Name)}
	}
	if err := d.check(action); err != nil {
		return "", err
	}
	timeout := d.Timeout
	if wanted := time.Duration(action.TimeoutSeconds) * time.Second; wanted > 0 && (timeout == 0 || wanted < timeout) {
		timeout = wanted
	}
	command := d.command()
	command.Args, command.Timeout, command.Output = action.Args, timeout, c.Output
	output, err = command.Run(ctx, change)
	if err != nil {
		err = fmt.Errorf("command %s: %w", action.Name, err)
	}
	return output, err
}

// maxQuoted is how much of a wrong argument the error quotes.
const maxQuoted = 64

func (d Definition) check(action fleet.Action) error {
	if len(action.Args) != len(d.Args) {
		return &RefusedError{fmt.Sprintf("command %s takes %d arguments on this host, got %d", action.Name, len(d.Args), len(action.Args))}
	}
	for i, pattern := range d.Args {
		if arg := action.Args[i]; !pattern.regexp.MatchString(arg) {
			return &RefusedError{fmt.Sprintf("argument %d of command %s is %.*q: it must match %s",
				i+1, action.Name, maxQuoted, arg, pattern.text)}
		}
	}
	return nil
}
