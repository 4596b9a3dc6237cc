// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package leaderelection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// registered registers a controller until the returned function is called.
func registered(t *testing.T, s store.Store, name string, log logr.Logger) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		leaderelection.Register(ctx, s, leaderelection.Registration{Name: name, Version: "v0.2.0", Since: time.Now()}, log)
	}()
	synctest.Wait()
	return func() { cancel(); <-done }
}

// running returns the controllers, one in a line.
func running(t *testing.T, s store.Reader) string {
	t.Helper()
	found, _, err := leaderelection.Controllers(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range found {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %v", c.Name, c.Version, c.Leading)))
	}
	return strings.Join(lines, "\n")
}

func TestRegister_LastsAsLongAsItsProcess(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		acquire(t, s, "upgrade-controller on b")
		stopA := registered(t, s, "upgrade-controller on a", logr.Discard())
		stopB := registered(t, s, "upgrade-controller on b", logr.Discard())
		defer stopB()
		sleep(time.Hour)
		want := "upgrade-controller on b v0.2.0 true\nupgrade-controller on a v0.2.0 false"
		if got := running(t, s); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		stopA()
		if got, want := running(t, s), "upgrade-controller on b v0.2.0 true"; got != want {
			t.Errorf("after one has stopped: %s", got)
		}
		if left, _, _ := s.Keys(t.Context(), keys.Controllers); len(left) != 1 {
			t.Errorf("keys: %q", left)
		}
	})
}

func TestRegister_DisappearsAfterAKill(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		stop := registered(t, s, "upgrade-controller on a", logr.Discard())
		defer stop()
		s.down.Store(true) // its renewals do not arrive any more
		sleep(61 * time.Second)
		if got := running(t, s.Store); got != "" {
			t.Errorf("%s", got)
		}
		if left, _, _ := s.Keys(t.Context(), keys.Controllers); len(left) != 0 {
			t.Errorf("keys: %q", left)
		}
	})
}

func TestRegister_ComesBack(t *testing.T) {
	for name, take := range map[string]func(context.Context, store.Store) error{
		"key removed": func(ctx context.Context, s store.Store) error {
			_, err := s.Txn(ctx, []store.Op{{Verb: store.DeleteTree, Key: keys.Controllers}})
			return err
		},
		"session destroyed": func(ctx context.Context, s store.Store) error {
			pairs, _, err := s.List(ctx, keys.Controllers)
			if err != nil {
				return err
			}
			return s.DestroySession(ctx, pairs[0].Session)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, s *faulty) {
				defer registered(t, s, "upgrade-controller on a", logr.Discard())()
				if err := take(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if got := running(t, s); got != "" {
					t.Errorf("removed: %s", got)
				}
				sleep(15 * time.Second)
				if got, want := running(t, s), "upgrade-controller on a v0.2.0 false"; got != want {
					t.Errorf("%q, want %q", got, want)
				}
			})
		})
	}
}

func TestRegister_SurvivesAnOutageAndLogsItOnce(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		var lines atomic.Int64
		s.down.Store(true)
		stop := registered(t, s, "upgrade-controller on a", funcr.New(func(_, _ string) { lines.Add(1) }, funcr.Options{}))
		defer stop()
		sleep(time.Hour)
		if got := s.sessions.Load(); got > 30 {
			t.Errorf("%d attempts in an hour", got)
		}
		s.down.Store(false)
		sleep(6 * time.Minute)
		if got, want := running(t, s), "upgrade-controller on a v0.2.0 false"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if lines.Load() != 1 {
			t.Errorf("%d lines in the log", lines.Load())
		}
	})
}

func TestRegister_StopsSoonWithoutAnswers(t *testing.T) {
	inTime(t, func(t *testing.T, s *faulty) {
		stop := registered(t, s, "upgrade-controller on a", logr.Discard())
		s.hangs.Store(true)
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// locked stores a value that a session locks.
func locked(t *testing.T, s store.Store, key, value string) {
	t.Helper()
	session, err := s.CreateSession(t.Context(), store.SessionOptions{TTL: time.Hour})
	if err == nil {
		_, err = s.Txn(t.Context(), []store.Op{{Verb: store.Lock, Key: key, Value: []byte(value), Session: session}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestControllers(t *testing.T) {
	const one = `{"name":"upgrade-controller on a","version":"v1","since":"2026-03-06T13:00:00Z"}`
	for name, tt := range map[string]struct {
		leader, kind        string
		registration, stale string
		want                string
	}{
		"none":                    {},
		"standby":                 {registration: one, want: "upgrade-controller on a v1 false"},
		"leader":                  {leader: "upgrade-controller on a", registration: one, want: "upgrade-controller on a v1 true"},
		"earlier leader":          {leader: "upgrade-controller on b", want: "upgrade-controller on b  true"},
		"earlier leader, standby": {leader: "upgrade-controller on b", registration: one, want: "upgrade-controller on b  true\nupgrade-controller on a v1 false"},
		"command leads":           {leader: "alice@desk", registration: one, want: "upgrade-controller on a v1 false"},
		"stale":                   {stale: one},
		"malformed":               {registration: `{"name":`},
		"nameless":                {registration: `{}`},
		"of a later schema":       {registration: `{"schema":2,"name":"upgrade-controller on a"}`},
		"hostile":                 {registration: `{"name":"a\u001b[2J","version":"\u202e"}`, want: "a\ufffd[2J \ufffd false"},
	} {
		t.Run(name, func(t *testing.T) {
			s := memory.New(time.Now)
			if tt.leader != "" {
				locked(t, s, keys.Leader, fmt.Sprintf(`{"holder":%q}`, tt.leader))
			}
			if tt.registration != "" {
				locked(t, s, keys.Controllers+"1", tt.registration)
			}
			if tt.stale != "" {
				if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: keys.Controllers + "2", Value: []byte(tt.stale)}}); err != nil {
					t.Fatal(err)
				}
			}
			if got := running(t, s); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// denied is a store whose token may not read registrations.
type denied struct {
	store.Store
	filter bool
}

func (d denied) List(_ context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	if d.filter {
		return nil, store.Meta{Filtered: true}, nil
	}
	return nil, store.Meta{}, &store.ForbiddenError{Key: prefix, Policy: "?", Err: errors.New("denied")}
}

func TestControllers_WithoutPermissionShowTheLeader(t *testing.T) {
	for name, filter := range map[string]bool{"refused": false, "filtered": true} {
		t.Run(name, func(t *testing.T) {
			s := memory.New(time.Now)
			locked(t, s, keys.Leader, `{"holder":"upgrade-controller on b"}`)
			found, held, err := leaderelection.Controllers(t.Context(), denied{s, filter})
			if _, ok := errors.AsType[*store.ForbiddenError](err); !ok || len(found) != 1 || !found[0].Leading || held == nil {
				t.Errorf("%+v, %v, %v", found, held, err)
			}
		})
	}
}

func FuzzControllers(f *testing.F) {
	f.Add([]byte(`{"name":"upgrade-controller on a","version":"v1","since":"2026-03-06T13:00:00Z"}`))
	f.Add([]byte(`{"schema":1,"name":"\u001b]0;"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		s := memory.New(time.Now)
		locked(t, s, keys.Controllers+"1", string(value))
		found, _, err := leaderelection.Controllers(t.Context(), s)
		if err != nil || len(found) > 1 {
			t.Fatalf("%v, %v", found, err)
		}
		for _, c := range found {
			if text := c.Name + c.Version; text != keys.Text(text, len(text)) || len(c.Name) > 3*keys.MaxName {
				t.Errorf("%q", text)
			}
		}
	})
}
