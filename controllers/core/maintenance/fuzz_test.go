// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package maintenance_test

import (
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/maintenance"
)

// FuzzCompile compiles windows of a plan. What they say of a time agrees with what they say of the next one.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{"30 22 * * 1-5", "0 0 29 2 *", "*/7 * * * *", "0 2 * 3 SUN", "0 0 31 2 *", "TZ=UTC 0 0 * * *", "@daily", "* * * * * *",
		"0-59/0 * * * *", "99 * * * *", "0 0 ? * ?", "0,1,2,3 1-3,5-7 * jan mon"} {
		f.Add(s, "4h", "Europe/Berlin", s, int64(1_772_800_000), false)
		f.Add(s, "8784h", "", "0 0 * * *", int64(1_774_746_000), true)
	}
	f.Add("0 0 * * *", "-4h", "../UTC", "", int64(-1), true)
	f.Fuzz(func(t *testing.T, open, duration, zone, denied string, at int64, deny bool) {
		w := v1alpha1.Windows{Allow: []v1alpha1.Window{{Schedule: open, Duration: duration, TimeZone: zone}}}
		if deny {
			w.Deny = []v1alpha1.Window{{Schedule: denied, Duration: "90m"}}
		}
		compiled, err := maintenance.Compile(w, schedule.LoadZone)
		if err != nil {
			return
		}
		const years = 100 * 366 * 24 * 3600
		now := time.Unix(1_000_000_000+(at%years+years)%years, 0)
		s := compiled.At(now)
		if s.Open != (s.Why == "") || !s.Next.IsZero() && !s.Next.After(now) {
			t.Fatalf("at %s: %+v", now.UTC(), s)
		}
		if s.Next.IsZero() {
			return
		}
		before := compiled.At(s.Next.Add(-time.Second))
		if before.Open != s.Open && s.Next.Add(-time.Second).After(now) {
			t.Errorf("at %s: %+v, and a second before the change: %+v", now.UTC(), s, before)
		}
		if after := compiled.At(s.Next); !s.Open && !after.Open {
			t.Errorf("at %s: %+v, but then %+v", now.UTC(), s, after)
		}
	})
}
