// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package commands runs what a plan's action names, if this host defines it: what a name means, as whom it runs and which
// arguments fit is the host's own affair. Who can write to Consul can only choose among that.
package commands

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Definition is what one name means.
type Definition struct {
	// Path is the program. It is run without a shell.
	Path string
	// User is who runs it; nil: who runs the agent.
	User *agent.User
	// Args are what the arguments must fit, one for each, as a whole.
	Args []Pattern
	// Timeout bounds it, whatever an action allows; 0: the action alone does.
	Timeout time.Duration
}

// Pattern is what an argument must fit from its first byte to its last.
type Pattern struct {
	text   string
	regexp *regexp.Regexp
}

// Compile reads a pattern (RE2).
func Compile(text string) (Pattern, error) {
	if _, err := regexp.Compile(text); err != nil { // by itself, lest it close our bracket
		return Pattern{}, err
	}
	whole, err := regexp.Compile(`\A(?:` + text + `)\z`)
	return Pattern{text, whole}, err
}

// Commands are all names that are defined.
type Commands struct {
	Defined map[string]Definition
	// Output gets all that a command writes; nil: nobody does.
	Output io.Writer
}

// RefusedError is an action that this host does not run.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return "refused: " + e.Why }

// Run runs the command that the action names. One that is not defined, or whose arguments do not fit, is Refused.
func (c Commands) Run(ctx context.Context, change agent.Change, action fleet.Action) (says string, err error) {
	d, ok := c.Defined[action.Name]
	if !ok {
		return "", &RefusedError{fmt.Sprintf("command %q is not defined on this host", action.Name)}
	}
	if err := d.fits(action); err != nil {
		return "", err
	}
	timeout := d.Timeout
	if wanted := time.Duration(action.TimeoutSeconds) * time.Second; wanted > 0 && (timeout == 0 || wanted < timeout) {
		timeout = wanted
	}
	command := agent.Command{Path: d.Path, Args: action.Args, User: d.User, Timeout: timeout, Output: c.Output}
	says, err = command.Run(ctx, change)
	if err != nil {
		err = fmt.Errorf("command %s: %w", action.Name, err)
	}
	return says, err
}

// maxTold bounds what is told of an argument that does not fit.
const maxTold = 64

func (d Definition) fits(action fleet.Action) error {
	if len(action.Args) != len(d.Args) {
		return &RefusedError{fmt.Sprintf("command %s takes %d arguments on this host, not %d", action.Name, len(d.Args), len(action.Args))}
	}
	for i, pattern := range d.Args {
		if arg := action.Args[i]; !pattern.regexp.MatchString(arg) {
			return &RefusedError{fmt.Sprintf("argument %d of command %s is %.*q, which does not fit %s",
				i+1, action.Name, maxTold, arg, pattern.text)}
		}
	}
	return nil
}
