// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// scripted answers waits as a script says, and then blocks until its context ends.
type scripted struct {
	script []looked
	asked  []uint64
	at     []time.Duration
	begun  time.Time
}

type looked struct {
	mark store.WatchIndex
	err  error
}

func (s *scripted) Wait(ctx context.Context, _ store.WatchTarget, index uint64, _ time.Duration) (store.WatchIndex, error) {
	s.asked, s.at = append(s.asked, index), append(s.at, time.Since(s.begun))
	if len(s.asked) > len(s.script) {
		<-ctx.Done()
		return store.WatchIndex{}, ctx.Err()
	}
	next := s.script[len(s.asked)-1]
	return next.mark, next.err
}

func TestWatch_FollowsTheRulesOfBlockingQueries(t *testing.T) {
	at := func(index uint64) looked { return looked{mark: store.WatchIndex{Index: index}} }
	empty := func(index uint64) looked { return looked{mark: store.WatchIndex{Index: index, Empty: true}} }
	failed := looked{err: errors.New("no leader")}
	for name, tt := range map[string]struct {
		script []looked
		asked  []uint64
		fired  int
	}{
		"the index grows":                        {[]looked{at(5), at(7)}, []uint64{0, 5, 7}, 2},
		"nothing changes within MaxWait":         {[]looked{at(5), at(5), at(5)}, []uint64{0, 5, 5, 5}, 1},
		"the index goes backwards":               {[]looked{at(9), at(5), at(5)}, []uint64{0, 9, 0, 5}, 3},
		"after a failure it begins again":        {[]looked{at(9), failed, at(9)}, []uint64{0, 9, 0, 9}, 2},
		"an empty prefix, and other keys change": {[]looked{empty(5), empty(7), empty(9)}, []uint64{0, 5, 7, 9}, 1},
		"the first key is added, and removed":    {[]looked{empty(5), at(7), empty(9)}, []uint64{0, 5, 7, 9}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{script: tt.script, begun: time.Now()}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				fired := 0
				store.Watch{MinInterval: time.Second}.Run(ctx, s, nil, func(store.WatchIndex) { fired++ })
				if !slices.Equal(s.asked, tt.asked) || fired != tt.fired {
					t.Errorf("waited for %d and fired %d times, want %d and %d", s.asked, fired, tt.asked, tt.fired)
				}
			})
		})
	}
}

func TestWatch_LimitsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &scripted{begun: time.Now()}
		down := &scripted{begun: time.Now()}
		failures := 0
		for i := range uint64(100) {
			busy.script = append(busy.script, looked{mark: store.WatchIndex{Index: i + 1}})
			down.script = append(down.script, looked{err: errors.New("no leader")})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		store.Watch{MinInterval: time.Minute}.Run(ctx, busy, nil, func(store.WatchIndex) {})
		if want := []time.Duration{0, 0, time.Minute, 2 * time.Minute}; !slices.Equal(busy.at[:4], want) || len(busy.at) > 62 {
			t.Errorf("%d looks in an hour: %s", len(busy.at), busy.at[:4])
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		down.begun = time.Now()
		store.WatchKeys("a/").Run(ctx, down, func(error) { failures++ }, func(store.WatchIndex) { t.Error("it fired") })
		for i := 1; i < len(down.at); i++ {
			least := min(500*time.Millisecond<<min(i-1, 10), 30*time.Second)
			if gap := down.at[i] - down.at[i-1]; gap < least || gap > 2*least {
				t.Errorf("%d. pause: %s, want from %s to %s", i, gap, least, 2*least)
			}
		}
		if failures < 60 {
			t.Errorf("%d failures were reported", failures)
		}
	})
}
