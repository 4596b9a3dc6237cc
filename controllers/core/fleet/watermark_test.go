// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

func TestWatermarks_DateKeysByTheirIndex(t *testing.T) {
	marks := fleet.Watermarks{{Index: 10, Time: noon.Unix()}, {Index: 20, Time: noon.Unix() + 60}}
	for index, want := range map[uint64]time.Time{0: {}, 1: noon, 10: noon, 11: noon.Add(time.Minute), 20: noon.Add(time.Minute), 21: {}} {
		got, ok := marks.Seen(index)
		if !got.Equal(want) || ok == want.IsZero() {
			t.Errorf("%d: %s %t, want %s", index, got, ok, want)
		}
	}
}

func TestWatermarks_Valid(t *testing.T) {
	marks := fleet.Watermarks{{Index: 10, Time: noon.Unix()}, {Index: 20, Time: noon.Unix() + 60}}
	for name, tt := range map[string]struct {
		index uint64
		now   time.Time
		want  fleet.Watermarks
	}{
		"all":                    {20, noon.Add(time.Hour), marks},
		"the store went back":    {19, noon.Add(time.Hour), marks[:1]},
		"the clock was ahead":    {20, noon.Add(30 * time.Second), fleet.Watermarks{marks[0], {Index: 20, Time: noon.Unix() + 30}}},
		"the clock was ahead, 2": {20, noon.Add(-time.Hour), fleet.Watermarks{{Index: 10, Time: noon.Unix() - 3600}, {Index: 20, Time: noon.Unix() - 3600}}},
	} {
		if diff := cmp.Diff(tt.want, marks.Valid(tt.index, tt.now)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestWatermarks_ExtendKeepsNewerOnes(t *testing.T) {
	stored, known := fleet.Watermarks{{1, 1}, {3, 3}}, fleet.Watermarks{{2, 2}, {3, 3}, {5, 5}}
	if diff := cmp.Diff(fleet.Watermarks{{1, 1}, {3, 3}, {5, 5}}, stored.Extend(known)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := stored.Extend(nil); len(got) != 2 || len(fleet.Watermarks(nil).Extend(nil)) != 0 {
		t.Error(got)
	}
}

// However often keys are written, a key is not dated before its write, and after it by a sixth at most of any span that is as
// long as its age.
func TestWatermarks_ProlongSpansByASixth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans := []time.Duration{
			time.Duration(rapid.SampledFrom([]int{0, 10, 60, 600}).Draw(t, "soak")) * time.Second,
			time.Duration(rapid.SampledFrom([]int{0, 600, 7200}).Draw(t, "canary soak")) * time.Second,
			time.Duration(rapid.SampledFrom([]int{60, 3600, 86400}).Draw(t, "deadline")) * time.Second,
		}
		longest := rapid.SampledFrom([]int{500, 5_000, 60_000, 600_000}).Draw(t, "milliseconds between writes")
		gaps := rapid.SliceOfN(rapid.IntRange(1, longest), 1, 50).Draw(t, "gaps")
		var marks fleet.Watermarks
		var written []time.Time
		now := noon
		for i := range 1500 {
			now = now.Add(time.Duration(gaps[i%len(gaps)]) * time.Millisecond)
			written = append(written, now)
			marks = marks.Add(uint64(len(written)), now, spans...)
			if len(marks) > 64 {
				t.Fatalf("%d watermarks", len(marks))
			}
		}
		for i, at := range written {
			seen, ok := marks.Seen(uint64(i + 1))
			if !ok || seen.Before(at) {
				t.Fatalf("%d was written at %s and seen at %s", i, at, seen)
			}
			for _, span := range spans {
				if late := seen.Sub(at) - time.Second; now.Sub(at) <= span && late > span/6 {
					t.Fatalf("%d was written %s ago and appears %s later: more than a sixth of %s\n%v", i, now.Sub(at), late, span, marks)
				}
			}
		}
	})
}
