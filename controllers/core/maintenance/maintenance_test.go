// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package maintenance_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/maintenance"
)

// list parses windows: "schedule for duration in zone", separated by ";".
func list(text string) (out []v1alpha1.Window) {
	for one := range strings.SplitSeq(text, ";") {
		if schedule, rest, ok := strings.Cut(strings.TrimSpace(one), " for "); ok {
			duration, zone, _ := strings.Cut(rest, " in ")
			out = append(out, v1alpha1.Window{Schedule: schedule, Duration: duration, TimeZone: zone})
		}
	}
	return out
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func compile(t fataler, w v1alpha1.Windows) maintenance.Windows {
	t.Helper()
	compiled, err := maintenance.Compile(w, schedule.LoadZone)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	t.Fatal(text)
	return time.Time{}
}

// In Berlin, 02:00 to 03:00 did not exist on 2026-03-29 (the change was at 01:00 UTC), and exists twice on 2026-10-25 (the
// change is at 01:00 UTC too).
func TestWindows_OpenAndCloseAtTheirTimes(t *testing.T) {
	const berlin = " in Europe/Berlin"
	for _, e := range []struct {
		name, allow, deny string
		at                string // UTC
		open              bool
		next              string // "": never
		why               string
	}{
		{"no windows at all", "", "", "2026-03-06 12:00", true, "", ""},
		{"before it opens", "0 22 * * * for 2h", "", "2026-03-06 21:59", false, "2026-03-06 22:00", "no window of windows.allow is open"},
		{"at the very moment when it opens", "0 22 * * * for 2h", "", "2026-03-06 22:00", true, "2026-03-07 00:00", ""},
		{"a moment before it closes", "0 22 * * * for 2h", "", "2026-03-06T23:59:59.999Z", true, "2026-03-07 00:00", ""},
		{"at the very moment when it closes", "0 22 * * * for 2h", "", "2026-03-07 00:00", false, "2026-03-07 22:00", ""},
		{"in a zone", "0 22 * * * for 2h" + berlin, "", "2026-03-06 21:00", true, "2026-03-06 23:00", ""},
		{"on weekdays only", "0 22 * * 1-5 for 2h", "", "2026-03-07 22:30", false, "2026-03-09 22:00", ""},
		{"longer than a day", "0 20 * * 5 for 60h", "", "2026-03-09 07:59", true, "2026-03-09 08:00", ""},
		{"longer than a day, over", "0 20 * * 5 for 60h", "", "2026-03-09 08:00", false, "2026-03-13 20:00", ""},
		{"once a year", "0 0 29 2 * for 24h", "", "2026-03-06 12:00", false, "2028-02-29 00:00", ""},
		{"it opens again while it is open", "*/30 * * * * for 45m", "", "2026-03-06 12:10", true, "2026-03-06 12:45", ""},
		{"two that overlap", "0 20 * * * for 3h; 0 22 * * * for 3h", "", "2026-03-06 22:30", true, "2026-03-07 01:00", ""},

		{"denied", "", "0 8 * * * for 10h", "2026-03-06 12:00", false, "2026-03-06 18:00", "windows.deny[0] denies it until 2026-03-06T18:00:00Z"},
		{"not denied", "", "0 8 * * * for 10h", "2026-03-06 18:00", true, "2026-03-07 08:00", ""},
		{"deny wins, from its first moment", "0 6 * * * for 6h", "0 8 * * * for 10h", "2026-03-06 08:00", false, "2026-03-07 06:00", "windows.deny[0]"},
		{"until the deny begins", "0 6 * * * for 6h", "0 8 * * * for 10h", "2026-03-06 07:00", true, "2026-03-06 08:00", ""},
		{"the deny ends inside of the allow", "0 6 * * * for 16h", "0 8 * * * for 10h", "2026-03-06 12:00", false, "2026-03-06 18:00", ""},
		{"the last deny tells", "", "0 8 * * * for 10h; 0 10 * * * for 10h", "2026-03-06 12:00", false, "2026-03-06 20:00", "windows.deny[1]"},
		{"one deny follows another", "", "0 8 * * * for 10h; 0 18 * * * for 2h", "2026-03-06 12:00", false, "2026-03-06 20:00", "windows.deny[0]"},
		{"always denied", "0 6 * * * for 6h", "* * * * * for 1h", "2026-03-06 12:00", false, "", ""},

		{"02:30 that does not exist opens at the change", "30 2 * * * for 1h" + berlin, "", "2026-03-29 00:59", false, "2026-03-29 01:00", ""},
		{"and is open for as long as ever", "30 2 * * * for 1h" + berlin, "", "2026-03-29 01:30", true, "2026-03-29 02:00", ""},
		{"and no longer", "30 2 * * * for 1h" + berlin, "", "2026-03-29 02:00", false, "2026-03-30 00:30", ""},
		{"denied at 02:30 that does not exist", "", "30 2 * * * for 1h" + berlin, "2026-03-29 01:30", false, "2026-03-29 02:00", ""},
		{"the first 02:30", "30 2 * * * for 20m" + berlin, "", "2026-10-25 00:30", true, "2026-10-25 00:50", ""},
		{"between them", "30 2 * * * for 20m" + berlin, "", "2026-10-25 00:50", false, "2026-10-25 01:30", ""},
		{"the second 02:30", "30 2 * * * for 20m" + berlin, "", "2026-10-25 01:30", true, "2026-10-25 01:50", ""},
		{"after both", "30 2 * * * for 20m" + berlin, "", "2026-10-25 01:50", false, "2026-10-26 01:30", ""},
		{"every hour for an hour is always, also when an hour comes twice", "0 * * * * for 1h" + berlin, "", "2026-10-25 01:15", true, "2026-10-25 02:00", ""},
		{"and when one is skipped", "0 * * * * for 1h" + berlin, "", "2026-03-29 01:15", true, "2026-03-29 02:00", ""},
		{"a duration that spans the change is elapsed time", "0 22 * * 6 for 8h" + berlin, "", "2026-03-29 04:59", true, "2026-03-29 05:00", ""},
		{"in autumn as well", "0 22 * * 6 for 8h" + berlin, "", "2026-10-25 04:00", false, "2026-10-31 21:00", ""},
		{"the wall decides on the day", "0 0 * * 0 for 1h in Asia/Tokyo", "", "2026-03-07 15:30", true, "2026-03-07 16:00", ""},
	} {
		t.Run(e.name, func(t *testing.T) {
			got := compile(t, v1alpha1.Windows{Allow: list(e.allow), Deny: list(e.deny)}).At(at(t, e.at))
			var next time.Time
			if e.next != "" {
				next = at(t, e.next)
			}
			if got.Open != e.open || !got.Next.Equal(next) || !strings.Contains(got.Why, e.why) || got.Open != (got.Why == "") {
				t.Errorf("%+v, want open %v, next %q, why %q", got, e.open, e.next, e.why)
			}
		})
	}
}

func TestCompile_NamesTheWindowAndTheField(t *testing.T) {
	for want, w := range map[string]v1alpha1.Windows{
		`windows.allow[0]: schedule "x y": must be five fields`:            {Allow: list("x y for 1h")},
		`windows.deny[1]: timeZone "Nowhere": must be the IANA name`:       {Deny: list("0 8 * * * for 1h; 0 8 * * * for 1h in Nowhere")},
		`windows.allow[0]: duration "1y": must be a duration (90m, 4h) be`: {Allow: list("0 8 * * * for 1y")},
	} {
		if _, err := maintenance.Compile(w, schedule.LoadZone); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestZone(t *testing.T) {
	for want, w := range map[string]v1alpha1.Windows{
		"UTC":           {Allow: list("0 8 * * * for 1h")},
		"Europe/Berlin": {Allow: list("0 8 * * * for 1h; 0 9 * * * for 1h in Europe/Berlin"), Deny: list("0 9 * * * for 1h in Asia/Tokyo")},
		"Asia/Tokyo":    {Allow: list("0 8 * * * for 1h"), Deny: list("0 9 * * * for 1h in Asia/Tokyo")},
	} {
		if got := compile(t, w).Zone().String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := (maintenance.Windows{}).Zone(); got != time.UTC {
		t.Errorf("without windows: %s", got)
	}
}

// The windows of two specs are open while both are.
func TestAnd(t *testing.T) {
	night, late := v1alpha1.Windows{Allow: list("0 22 * * * for 4h")}, v1alpha1.Windows{Allow: list("0 0 * * * for 4h")}
	frozen := v1alpha1.Windows{Deny: list("0 1 * * * for 2h")}
	for _, e := range []struct {
		name, at  string
		one, two  v1alpha1.Windows
		open      bool
		next, why string
	}{
		{"the first is open alone", "2026-03-06 23:00", night, late, false, "2026-03-07 00:00", "no window of windows.allow is open"},
		{"both are open", "2026-03-07 00:30", night, late, true, "2026-03-07 02:00", ""},
		{"the second is open alone", "2026-03-07 03:00", night, late, false, "2026-03-08 00:00", "no window of windows.allow is open"},
		{"one denies", "2026-03-07 01:30", night, frozen, false, "2026-03-07 22:00", "windows.deny[0]"},
		{"until one denies", "2026-03-07 00:30", frozen, night, true, "2026-03-07 01:00", ""},
		{"one has no windows", "2026-03-07 00:30", night, v1alpha1.Windows{}, true, "2026-03-07 02:00", ""},
	} {
		t.Run(e.name, func(t *testing.T) {
			got := compile(t, e.one).And(compile(t, e.two)).At(at(t, e.at))
			if got.Open != e.open || !got.Next.Equal(at(t, e.next)) || !strings.Contains(got.Why, e.why) {
				t.Errorf("%+v, want open %v, next %q, why %q", got, e.open, e.next, e.why)
			}
		})
	}
}

// At agrees with a walk along the wall clock, minute by minute, in zones whose clocks change by an hour, by half an hour,
// at midnight, and by a whole day.
func TestWindowsAgreeWithTheWallClock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		change := rapid.SampledFrom([]struct{ zone, day string }{
			{"Europe/Berlin", "2026-03-29"}, {"Europe/Berlin", "2026-10-25"}, {"Australia/Lord_Howe", "2026-04-04"},
			{"Australia/Lord_Howe", "2026-10-03"}, {"America/Santiago", "2026-09-06"}, {"Pacific/Apia", "2011-12-30"}, {"UTC", "2026-03-01"},
		}).Draw(t, "change")
		zone, err := time.LoadLocation(change.zone)
		if err != nil {
			t.Fatal(err)
		}
		day, _ := time.Parse(time.DateOnly, change.day)
		hours := rapid.SampledFrom([]string{"*", "2", "0", "23", "1-3"}).Draw(t, "hours")
		minute := rapid.IntRange(0, 59).Draw(t, "minute")
		duration := time.Duration(rapid.IntRange(1, 40*60).Draw(t, "duration")) * time.Minute
		w := compile(t, v1alpha1.Windows{Allow: []v1alpha1.Window{{Schedule: fmt.Sprintf("%d %s * * *", minute, hours),
			Duration: duration.String(), TimeZone: change.zone}}})
		matches := func(wall time.Time) bool {
			h := wall.Hour()
			return wall.Minute() == minute && (hours == "*" || hours == fmt.Sprint(h) || hours == "1-3" && h >= 1 && h <= 3)
		}
		wall := func(t time.Time) time.Time {
			_, offset := t.In(zone).Zone()
			return t.UTC().Add(time.Duration(offset) * time.Second)
		}
		now := day.Add(time.Duration(rapid.IntRange(-24*60, 48*60).Draw(t, "now")) * time.Minute)
		open := false
		for m := now.Add(-duration + time.Minute); !m.After(now); m = m.Add(time.Minute) {
			for skipped := wall(m.Add(-time.Minute)).Add(time.Minute); !skipped.After(wall(m)); skipped = skipped.Add(time.Minute) {
				open = open || matches(skipped)
			}
			open = open || matches(wall(m))
		}
		got := w.At(now)
		if got.Open != open {
			t.Fatalf("at %s: %+v, want open %v", now.In(zone), got, open)
		}
		if !got.Next.After(now) || got.Open != w.At(got.Next.Add(-time.Second)).Open {
			t.Fatalf("at %s: %+v changes before that", now.In(zone), got)
		}
		if !got.Open && !w.At(got.Next).Open {
			t.Fatalf("at %s: %+v, and then it is not open", now.In(zone), got)
		}
	})
}

// After the years that the time zone database lists, Go gives leap years 365 days.
func TestWindows_AreFoundAfterTheEndOfALeapYear(t *testing.T) {
	w := compile(t, v1alpha1.Windows{Allow: list("0 2 1 1 * for 1h in Europe/Berlin")})
	for _, now := range []string{"2040-12-01T00:00:00Z", "2040-12-31T00:00:00Z", "2040-12-31T12:00:00Z"} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.At(at).Next.Format(time.RFC3339); got != "2041-01-01T01:00:00Z" {
			t.Errorf("at %s the windows open at %s", now, got)
		}
	}
}

// A search for a time that is never allowed goes far beyond the years of the time zone database.
func TestWindows_ThatNeverOpenAreFoundClosed(t *testing.T) {
	w := compile(t, v1alpha1.Windows{Allow: list("0 2 * * 1 for 1h in Europe/Berlin"), Deny: list("0 0 * * * for 24h")})
	if got := w.At(time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)); got.Open || !got.Next.IsZero() {
		t.Errorf("%+v", got)
	}
}
