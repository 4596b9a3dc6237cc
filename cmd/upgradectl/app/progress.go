// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

// progress shows how a plan moves on.
type progress interface {
	show(plan string, s v1alpha1.UpgradePlanStatus)
	// close leaves what was shown last. It may be called again.
	close()
}

// progress is bars when people look, lines elsewhere, and nothing when there is nothing to wait for.
func (c *cli) progress(wanted bool) progress {
	switch {
	case !wanted:
		return noProgress{}
	case c.ErrTerminal:
		return newBars(c.Err)
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

// bars is a live bar for each role.
type bars struct {
	container *mpb.Progress
	roles     map[string]*roleBar
	closed    bool
}

type roleBar struct {
	bar  *mpb.Bar
	text atomic.Pointer[string]
}

const barWidth = 32

func newBars(out io.Writer) *bars {
	return &bars{container: mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh()), roles: map[string]*roleBar{}}
}

func (b *bars) show(_ string, s v1alpha1.UpgradePlanStatus) {
	for _, r := range s.Roles {
		bar, ok := b.roles[r.Name]
		if !ok {
			bar = b.add(r.Name)
			b.roles[r.Name] = bar
		}
		text := status.Line(v1alpha1.UpgradePlanStatus{Hosts: r.HostCounts})
		bar.text.Store(&text)
		bar.bar.SetTotal(int64(max(r.Total, 1)), false)
		bar.bar.SetCurrent(int64(r.Upgraded))
	}
}

func (b *bars) add(role string) *roleBar {
	r := &roleBar{}
	r.text.Store(new(string))
	r.bar = b.container.AddBar(0, // of a total that may change
		mpb.BarWidth(barWidth),
		mpb.PrependDecorators(decor.Name(role, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + *r.text.Load() })))
	return r
}

func (b *bars) close() {
	if b.closed {
		return
	}
	b.closed = true
	for _, r := range b.roles {
		r.bar.Abort(false)
	}
	b.container.Wait()
}
