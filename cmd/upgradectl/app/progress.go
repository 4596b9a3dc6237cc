// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/top"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

// progress shows how a plan moves on.
type progress interface {
	show(plan string, s v1alpha1.UpgradePlanStatus)
	// close leaves what was shown last. It may be called again.
	close()
}

// progress is a screen when people look, lines elsewhere, and nothing when there is nothing to wait for.
func (c *cli) progress(wanted bool) progress {
	switch {
	case !wanted:
		return noProgress{}
	case c.ErrTerminal && !c.plain():
		return c.newScreen()
	}
	return &lines{out: c.Err}
}

type noProgress struct{}

func (noProgress) show(string, v1alpha1.UpgradePlanStatus) {}
func (noProgress) close()                                  {}

// lines is one line for each change.
type lines struct {
	out  io.Writer
	last string
}

func (l *lines) show(plan string, s v1alpha1.UpgradePlanStatus) {
	if line := fmt.Sprintf("%s: %s: %s", plan, s.Phase, status.Line(s)); line != l.last {
		l.last = line
		_, _ = fmt.Fprintln(l.out, line)
	}
}

func (l *lines) close() {}

// screen is the plan as top plan shows it.
type screen struct {
	program *tea.Program
	now     func() time.Time
	ended   chan struct{}
}

func (c *cli) newScreen() *screen {
	s := &screen{program: c.program("", nil, c.Err, true), now: c.Now, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		_, _ = s.program.Run() // what is shown decides nothing
	}()
	return s
}

func (s *screen) show(plan string, now v1alpha1.UpgradePlanStatus) {
	s.program.Send(top.OfStatus(plan, now, s.now()))
}

func (s *screen) close() {
	s.program.Quit()
	<-s.ended
}
