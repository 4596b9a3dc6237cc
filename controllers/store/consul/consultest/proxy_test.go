// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consultest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/storetest"
)

func through(t *testing.T, p *consultest.Proxy) store.Store {
	t.Helper()
	s, err := consul.New(consul.Config{Address: p.Addr(), RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func set(s store.Store, key, value string) error {
	_, err := s.Txn(context.Background(), []store.Op{{Verb: store.Set, Key: key, Value: []byte(value)}})
	return err
}

func names(t *testing.T, s store.Store) []string {
	t.Helper()
	names, _, err := s.Keys(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestProxy_PassesTheConformanceSuite(t *testing.T) {
	agent := consultest.Start(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		s := through(t, consultest.StartProxy(t, agent.Addr(), consultest.ProxyOptions{}))
		if names, _, err := s.Keys(t.Context(), ""); err != nil {
			t.Fatal(err)
		} else {
			for _, name := range names {
				if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Delete, Key: name}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		return s
	})
}

func TestProxy_ChecksEachWrite(t *testing.T) {
	var checked []int
	var inside atomic.Int64
	p := consultest.StartProxy(t, consultest.Start(t).Addr(), consultest.ProxyOptions{
		Check: func(ctx context.Context, direct store.Store) error {
			if inside.Add(1) != 1 {
				return errors.New("two writes at once")
			}
			defer inside.Add(-1)
			names, _, err := direct.Keys(ctx, "k/")
			checked = append(checked, len(names))
			return err
		}})
	s := through(t, p)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := set(s, fmt.Sprintf("k/%d", i), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want := make([]int, 20)
	for i := range want {
		want[i] = i + 1
	}
	if !slices.Equal(checked, want) {
		t.Errorf("keys seen after each write: %v, want one more each time", checked)
	}
}

func TestProxy_SkipsReadsAndRefusals(t *testing.T) {
	checked := 0
	p := consultest.StartProxy(t, consultest.Start(t).Addr(), consultest.ProxyOptions{
		Check: func(context.Context, store.Store) error { checked++; return nil }})
	s := through(t, p)
	names(t, s)
	if _, _, err := s.Get(t.Context(), "a", "b"); err != nil {
		t.Error(err)
	}
	if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.CheckNotExists, Key: "a"}}); err != nil {
		t.Error(err)
	}
	if len(p.Writes()) != 0 || checked != 0 {
		t.Errorf("reads: %q, %d checked", p.Writes(), checked)
	}
	_, err := s.Txn(t.Context(), []store.Op{{Verb: store.CAS, Key: "a", Index: 7}, {Verb: store.Set, Key: "b"}})
	if _, ok := errors.AsType[*store.ConflictError](err); !ok {
		t.Errorf("%v", err)
	}
	if got := p.Writes(); !slices.Equal(got, []string{"cas a, set b"}) || checked != 0 {
		t.Errorf("a refused write: %q, %d checked", got, checked)
	}
	session, err := s.CreateSession(t.Context(), store.SessionOptions{Name: "x", TTL: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DestroySession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if len(p.Writes()) != 1 || checked != 2 {
		t.Errorf("sessions: %q, %d checked", p.Writes(), checked)
	}
}

func TestProxy_FailsWrites(t *testing.T) {
	s := through(t, consultest.StartProxy(t, consultest.Start(t).Addr(), consultest.ProxyOptions{FailWrite: 2}))
	var got []error
	for _, key := range []string{"a", "b", "c"} {
		got = append(got, set(s, key, "x"))
	}
	if _, ok := errors.AsType[*store.UnavailableError](got[1]); got[0] != nil || !ok || got[2] != nil {
		t.Errorf("%v", got)
	}
	if left := names(t, s); !slices.Equal(left, []string{"a", "c"}) {
		t.Errorf("written: %q", left)
	}
}

func TestProxy_DropsReplies(t *testing.T) {
	checked := 0
	p := consultest.StartProxy(t, consultest.Start(t).Addr(), consultest.ProxyOptions{DropReply: 2,
		Check: func(context.Context, store.Store) error { checked++; return nil }})
	s := through(t, p)
	var got []error
	for _, key := range []string{"a", "b", "c"} {
		got = append(got, set(s, key, "x"))
	}
	if _, ok := errors.AsType[*store.UnavailableError](got[1]); got[0] != nil || !ok || got[2] != nil {
		t.Errorf("%v", got)
	}
	if left := names(t, s); !slices.Equal(left, []string{"a", "b", "c"}) || checked != 3 || len(p.Writes()) != 3 {
		t.Errorf("written: %q, %d checked", left, checked)
	}
}

// recorder is a test that notes its failures.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestProxy_FailedCheckFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	s := through(t, consultest.StartProxy(r, consultest.Start(t).Addr(), consultest.ProxyOptions{
		Check: func(ctx context.Context, direct store.Store) error {
			if pairs, _, err := direct.Get(ctx, "bad"); err != nil || pairs[0].Exists() {
				return errors.New("there is a bad key")
			}
			return nil
		}}))
	for _, key := range []string{"good", "bad"} {
		if err := set(s, key, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], "after write 2 (set bad): there is a bad key") {
		t.Errorf("%q", r.errors)
	}
}
