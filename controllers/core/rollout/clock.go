// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

// maxClockOffset is how far the clock of a host may be off before that causes a warning.
const maxClockOffset = time.Minute

// clockOffset returns how far the clock of a host is certainly off. Zero means less than maxClockOffset, or unknown. The controller
// sees a key after the host wrote it, and a host starts a change after its grant.
func (c *classifier) clockOffset(h *fleet.Host) time.Duration {
	var at time.Time
	var index, rollout uint64
	switch m, r := h.Started, h.Report; {
	case m != nil && m.By == "":
		at, index, rollout = m.Time, m.Index, m.Rollout
	case r != nil:
		at, index, rollout = r.Time, h.ReportIndex, r.Rollout
	}
	if at.IsZero() {
		return 0
	}
	if ahead := at.Sub(c.firstSeen(index)); ahead > maxClockOffset {
		return ahead
	}
	key := h.Setting
	byKey := key.GrantedFor(c.current) && key.Index < index && key.Granted != 0
	if behind := time.Unix(key.Granted, 0).Sub(at); byKey && rollout != 0 && rollout == c.current.Rollout && behind > maxClockOffset {
		return -behind
	}
	return 0
}

// clocksMessage warns of hosts whose clocks are off. Empty means that there are none.
func (a *assessment) clocksMessage() string {
	var hosts []string
	off := 0
	for i := range a.facts {
		offset := a.facts[i].clockOffset
		if offset == 0 {
			continue
		}
		if off++; off <= maxNames {
			hosts = append(hosts, a.in.Fleet.Hosts[i].Name+" "+direction(offset)) // an amount could change with each pass
		}
	}
	if off == 0 {
		return ""
	}
	return fmt.Sprintf("the clocks of %d of %d hosts are more than a minute off (%s): nothing is decided by them, but the times that "+
		"they report are wrong", off, len(a.facts), wording.Names(hosts, off))
}

// ClockOffsetText describes the offset of a clock: 3y ahead, 59m behind.
func ClockOffsetText(offset time.Duration) string {
	return duration.HumanDuration(offset.Abs()) + " " + direction(offset)
}

func direction(offset time.Duration) string {
	if offset < 0 {
		return "behind"
	}
	return "ahead"
}

// passingSince returns since when the checks of a host pass that had failed. Zero means that they had not.
func (c *classifier) passingSince(host string) time.Time {
	switch check, failed := c.checks[host]; {
	case !failed:
		return time.Time{}
	case check.Passed == 0:
		return c.now
	default:
		return c.past(time.Unix(check.Passed, 0))
	}
}

// firstSeen returns when the controller first saw an index, to the accuracy of the watermarks. An unknown index is new.
func (c *classifier) firstSeen(index uint64) time.Time {
	if t, ok := c.watermarks.Seen(index); ok {
		return c.past(t)
	}
	return c.now
}

// ownTime returns a time that a controller wrote in a key. It does not rely on a clock that was ahead.
func (c *classifier) ownTime(t time.Time, index uint64) (at time.Time, seenBy uint64) {
	if t.After(c.now) || t.IsZero() {
		return c.firstSeen(index), index
	}
	return t, 0
}

// startedAt returns when the controller first saw a started marker, or when it wrote it.
func (c *classifier) startedAt(m *fleet.Started) (at time.Time, seenBy uint64) {
	if m.By == fleet.ByController {
		return c.ownTime(m.Time, m.Index)
	}
	return c.firstSeen(m.Index), m.Index
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// past clamps a time in the future to now, since the clock of an earlier leader may have been ahead.
func (c *classifier) past(t time.Time) time.Time {
	if t.After(c.now) {
		return c.now
	}
	return t
}
