// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package window reads the windows of a plan.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // so that a plan means the same on a machine without a database of time zones

	"github.com/robfig/cron/v3"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// The shortest and the longest that a window may be open.
const (
	MinDuration = time.Minute
	MaxDuration = 366 * 24 * time.Hour
)

// Schedule is the times at which a window opens, by the clock on the wall.
type Schedule struct{ times cron.Schedule }

// Next is the first of them after a time on the wall, and not ok when there is none within five years. Times on the wall
// are written as if they were UTC, where no clock changes.
func (s Schedule) Next(wall time.Time) (next time.Time, ok bool) {
	next = s.times.Next(wall.UTC())
	return next, !next.IsZero()
}

// ParseSchedule reads the five fields of a cron line.
func ParseSchedule(text string) (Schedule, error) {
	// The parser takes a sixth field for nothing, but words before the fields (TZ=…, @daily) for something.
	if len(strings.Fields(text)) != 5 || strings.Contains(text, "=") {
		return Schedule{}, errors.New("must be five fields, as cron has them: minute, hour, day of month, month, " +
			"day of week (30 22 * * 1-5)")
	}
	times, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
	if err != nil {
		return Schedule{}, fmt.Errorf("is no schedule of cron: %w", err)
	}
	s := Schedule{times}
	if _, ok := s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return Schedule{}, errors.New("there is no such day")
	}
	return s, nil
}

// ParseDuration reads for how long a window is open.
func ParseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < MinDuration || d > MaxDuration {
		return 0, errors.New("must be a duration (90m, 4h) of a minute at least and a year (8784h) at most")
	}
	return d, nil
}

// ParseZone finds a time zone by its IANA name; the empty one is UTC. It asks the machine's database, which is kept up to
// date by those who run it, and then the one in the binary: a constant table for all that we know, read-only and the same
// at each call.
func ParseZone(name string) (*time.Location, error) {
	if name != "Local" { // which would mean something else on each machine
		if zone, err := time.LoadLocation(name); err == nil {
			return zone, nil
		}
	}
	return nil, errors.New("must be the IANA name of a time zone (Europe/Berlin)")
}

// Window is a window that was read.
type Window struct {
	Schedule
	Duration time.Duration
	Zone     *time.Location
}

// Parse reads a window; the error is the first of those that its parts give.
func Parse(w v1alpha1.Window) (Window, error) {
	schedule, scheduleErr := ParseSchedule(w.Schedule)
	duration, durationErr := ParseDuration(w.Duration)
	zone, zoneErr := ParseZone(w.TimeZone)
	for _, part := range []struct {
		name, text string
		err        error
	}{{"schedule", w.Schedule, scheduleErr}, {"duration", w.Duration, durationErr}, {"timeZone", w.TimeZone, zoneErr}} {
		if part.err != nil {
			return Window{}, fmt.Errorf("%s %q: %w", part.name, part.text, part.err)
		}
	}
	return Window{schedule, duration, zone}, nil
}
