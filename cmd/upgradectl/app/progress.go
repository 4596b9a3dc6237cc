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

// progress shows on stderr how a plan moves on.
type progress interface {
	show(plan string, s v1alpha1.UpgradePlanStatus)
	// failed shows an error after which the command tries again.
	failed(err error)
	// close leaves the last frame. It can be called again.
	close()
}

// newProgress returns a screen on a terminal, lines elsewhere, and nothing if it is not wanted.
func newProgress(f *factory, wanted bool) progress {
	switch {
	case !wanted:
		return noProgress{}
	case f.ErrTerminal && !f.dumb():
		return newProgressScreen(f)
	}
	return &progressLines{factory: f}
}

type noProgress struct{}

func (noProgress) show(string, v1alpha1.UpgradePlanStatus) {}
func (noProgress) failed(error)                            {}
func (noProgress) close()                                  {}

// progressLines prints one line for each change.
type progressLines struct {
	*factory
	last string
}

func (l *progressLines) show(plan string, s v1alpha1.UpgradePlanStatus) {
	if line := fmt.Sprintf("%s: %s: %s", plan, s.Phase, status.Line(s)); line != l.last {
		l.last = line
		l.say("%s", line)
	}
}

func (l *progressLines) failed(err error) { l.warn("%v: trying again", err) }
func (l *progressLines) close()           {}

// progressScreen shows the plan as top plan does.
type progressScreen struct {
	program *tea.Program
	now     func() time.Time
	ended   chan struct{}
}

func newProgressScreen(f *factory) *progressScreen {
	s := &progressScreen{program: newProgram(f, "", nil, f.raw.Err, true), now: f.Now, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		_, _ = s.program.Run() // the command does not depend on the display
	}()
	return s
}

func (s *progressScreen) show(plan string, now v1alpha1.UpgradePlanStatus) {
	s.program.Send(top.OfStatus(plan, now, s.now()))
}

func (s *progressScreen) failed(err error) {
	s.program.Send(top.Failed{Text: err.Error(), At: s.now()})
}

func (s *progressScreen) close() {
	s.program.Quit()
	<-s.ended
}
