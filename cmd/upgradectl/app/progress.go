// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/top"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

// progress shows how a plan moves on.
type progress interface {
	show(plan string, s v1alpha1.UpgradePlanStatus)
	// failed tells of what is tried again.
	failed(err error)
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
	return &lines{cli: c}
}

type noProgress struct{}

func (noProgress) show(string, v1alpha1.UpgradePlanStatus) {}
func (noProgress) failed(error)                            {}
func (noProgress) close()                                  {}

// lines is one line for each change.
type lines struct {
	*cli
	last string
}

func (l *lines) show(plan string, s v1alpha1.UpgradePlanStatus) {
	if line := fmt.Sprintf("%s: %s: %s", plan, s.Phase, status.Line(s)); line != l.last {
		l.last = line
		l.say("%s", line)
	}
}

func (l *lines) failed(err error) { l.warn(err.Error() + ": trying again") }
func (l *lines) close()           {}

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

func (s *screen) failed(err error) {
	s.program.Send(top.Failed{Text: err.Error(), At: s.now()})
}

func (s *screen) close() {
	s.program.Quit()
	<-s.ended
}
