// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

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

// The bounds of the duration of a window.
const (
	MinDuration = time.Minute
	MaxDuration = 366 * 24 * time.Hour
)

// Schedule is the wall clock times at which a window opens.
type Schedule struct{ times cron.Schedule }

// Next returns the first opening after a wall clock time. It is not ok when there is none within five years. Wall clock
// times are in UTC, where no clock changes.
func (s Schedule) Next(wall time.Time) (next time.Time, ok bool) {
	next = s.times.Next(wall.UTC())
	return next, !next.IsZero()
}

// ParseSchedule parses the five fields of a cron line.
func ParseSchedule(text string) (Schedule, error) {
	// The parser ignores a sixth field and accepts words before the fields (TZ=…, @daily).
	if len(strings.Fields(text)) != 5 || strings.Contains(text, "=") {
		return Schedule{}, errors.New("must be five fields, as cron has them: minute, hour, day of month, month, " +
			"day of week (30 22 * * 1-5)")
	}
	times, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
	if err != nil {
		return Schedule{}, fmt.Errorf("is not a cron schedule: %w", err)
	}
	s := Schedule{times}
	if _, ok := s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return Schedule{}, errors.New("is never: no month has such a day")
	}
	return s, nil
}

// ParseDuration parses the duration of a window.
func ParseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < MinDuration || d > MaxDuration {
		return 0, errors.New("must be a duration (90m, 4h) between a minute and a year (8784h)")
	}
	return d, nil
}

// LoadZone returns the time zone with an IANA name. The empty name is UTC. It reads the database of the machine, and falls
// back to the one in the binary.
func LoadZone(name string) (*time.Location, error) {
	if name != "Local" { // means another zone on each machine
		if zone, err := time.LoadLocation(name); err == nil {
			return zone, nil
		}
	}
	return nil, errors.New("must be the IANA name of a time zone (Europe/Berlin)")
}

// Window is a parsed window.
type Window struct {
	Schedule
	Duration time.Duration
	Zone     *time.Location
}

// Parse parses a window. The function zones resolves its time zone, as LoadZone does. The error is that of the first field
// that is wrong.
func Parse(w v1alpha1.Window, zones func(string) (*time.Location, error)) (Window, error) {
	schedule, scheduleErr := ParseSchedule(w.Schedule)
	duration, durationErr := ParseDuration(w.Duration)
	zone, zoneErr := zones(w.TimeZone)
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
