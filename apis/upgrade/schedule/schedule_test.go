// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

func TestParse(t *testing.T) {
	const fields = "must be five fields, as cron has them: minute, hour, day of month, month, day of week (30 22 * * 1-5)"
	for _, e := range []struct{ schedule, duration, zone, want string }{
		{"30 22 * * 1-5", "4h", "", ""},
		{"*/15 0,12 1-7 JAN-MAR sun", "1m", "Europe/Berlin", ""},
		{"0 0 29 2 *", "8784h", "UTC", ""},
		{"", "4h", "", `schedule "": ` + fields},
		{"@daily", "4h", "", `schedule "@daily": ` + fields},
		{"0 30 22 * * 1", "4h", "", `schedule "0 30 22 * * 1": ` + fields},
		{"TZ=UTC 22 * * 1", "4h", "", `schedule "TZ=UTC 22 * * 1": ` + fields},
		{"61 22 * * *", "4h", "", `schedule "61 22 * * *": is not a cron schedule: end of range (61) above maximum (59): 61`},
		{"0 0 30 2 *", "4h", "", `schedule "0 0 30 2 *": is never: no month has such a day`},
		{"0 0 * * *", "", "", `duration "": must be a duration (90m, 4h) between a minute and a year (8784h)`},
		{"0 0 * * *", "59s", "", `duration "59s": must be a duration (90m, 4h) between a minute and a year (8784h)`},
		{"0 0 * * *", "8785h", "", `duration "8785h": must be a duration (90m, 4h) between a minute and a year (8784h)`},
		{"0 0 * * *", "4h", "Berlin", `timeZone "Berlin": must be the IANA name of a time zone (Europe/Berlin)`},
		{"0 0 * * *", "4h", "Local", `timeZone "Local": must be the IANA name of a time zone (Europe/Berlin)`},
		{"0 0 * * *", "4h", "../etc/passwd", `timeZone "../etc/passwd": must be the IANA name of a time zone (Europe/Berlin)`},
	} {
		_, err := schedule.Parse(v1alpha1.Window{Schedule: e.schedule, Duration: e.duration, TimeZone: e.zone}, schedule.LoadZone)
		if got := text(err); got != e.want {
			t.Errorf("%q %q %q: %s\nwant %s", e.schedule, e.duration, e.zone, got, e.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseScheduleNeverPanics(t *testing.T) {
	field := rapid.StringMatching(`[0-9A-Za-z*/,@?L#=-]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		line := ""
		for range 5 {
			line += field.Draw(t, "field") + " "
		}
		_, _ = schedule.ParseSchedule(line)
		_, _ = schedule.ParseSchedule(rapid.String().Draw(t, "line"))
	})
}
