// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"slices"
	"sort"
	"time"
)

// Watermark says that the controller saw the store at Index at Time, in Unix seconds by its own clock. Everything with an index
// up to Index was written before.
type Watermark struct {
	Index uint64 `json:"index"`
	Time  int64  `json:"time"`
}

// Watermarks date keys by their indexes, so that no clock of a host decides anything. They are ascending, and at most
// maxWatermarks. Their methods do not modify them.
type Watermarks []Watermark

const (
	maxWatermarks = 64
	// watermarkAge is how far back watermarks reach at least, so that a longer soak does not find that all hosts are new.
	watermarkAge = 24 * time.Hour
)

// Last returns the newest watermark, or zero if there is none.
func (w Watermarks) Last() Watermark {
	if len(w) == 0 {
		return Watermark{}
	}
	return w[len(w)-1]
}

// Seen returns when the controller first saw the index: not before it was written. It is not ok if no watermark reaches the
// index, and for index 0.
func (w Watermarks) Seen(index uint64) (t time.Time, ok bool) {
	i := sort.Search(len(w), func(i int) bool { return w[i].Index >= index })
	if i == len(w) || index == 0 {
		return time.Time{}, false
	}
	return time.Unix(w[i].Time, 0).UTC(), true
}

// Unseen returns when the controller last saw the store without the index: not after it was written. Zero means unknown.
func (w Watermarks) Unseen(index uint64) time.Time {
	i := sort.Search(len(w), func(i int) bool { return w[i].Index >= index })
	if i == 0 || index == 0 {
		return time.Time{}
	}
	return time.Unix(w[i-1].Time, 0).UTC()
}

// Valid returns the watermarks for a store that is at an index now. Later ones are of the time before a restore. Times in the
// future are of a clock that was wrong, and become now.
func (w Watermarks) Valid(index uint64, now time.Time) Watermarks {
	at := wholeSecondUp(now)
	valid := func(m Watermark) bool { return m.Index <= index && m.Time <= at }
	if !slices.ContainsFunc(w, func(m Watermark) bool { return !valid(m) }) {
		return w
	}
	var out Watermarks
	for _, m := range w {
		if m.Index <= index {
			out = append(out, Watermark{m.Index, min(m.Time, at)})
		}
	}
	return out
}

// Extend returns the watermarks with those of another list that are newer.
func (w Watermarks) Extend(by Watermarks) Watermarks {
	last := w.Last().Index
	i := sort.Search(len(by), func(i int) bool { return by[i].Index > last })
	return append(w[:len(w):len(w)], by[i:]...)
}

// Add returns the watermarks with one for the index, and without those that are too many. Spans are the durations that are
// measured with them; a span is prolonged by a fraction of it at most.
func (w Watermarks) Add(index uint64, now time.Time, spans ...time.Duration) Watermarks {
	at := wholeSecondUp(now)
	out := slices.Clone(w)
	if len(out) > 0 && out[len(out)-1].Time >= at {
		out[len(out)-1].Index = index
		return out
	}
	out = append(out, Watermark{index, at})
	spans = append([]time.Duration{watermarkAge}, spans...)
	oldest := at - int64(slices.Max(spans).Seconds())
	for len(out) > 1 && out[1].Time <= oldest {
		out = out[1:]
	}
	for len(out) > maxWatermarks {
		i := leastUseful(out, spans)
		out = slices.Delete(out, i, i+1)
	}
	return out
}

// leastUseful returns the watermark without which times change least, relative to the shortest span that they can matter to.
// It is never the last one.
func leastUseful(w Watermarks, spans []time.Duration) int {
	now := w.Last().Time
	least, at := 0.0, 0
	for i := 1; i < len(w)-1; i++ {
		age := time.Duration(now-w[i+1].Time) * time.Second
		span := watermarkAge
		for _, s := range spans {
			if s >= age && s > 0 {
				span = min(span, s)
			}
		}
		if cost := float64(w[i+1].Time-w[i-1].Time) / span.Seconds(); at == 0 || cost < least {
			least, at = cost, i
		}
	}
	return at
}

// wholeSecondUp rounds up, so that no time is shortened.
func wholeSecondUp(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }
