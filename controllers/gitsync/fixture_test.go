// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync_test

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

	"github.com/go-logr/logr"
	"go.uber.org/goleak"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plan returns a manifest.
func plan(name, version, prefix string) string {
	return fmt.Sprintf("apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: %s}\nspec:\n  version: %s\n"+
		"  keys: {prefix: %q}\n", name, version, prefix)
}

// fixture has a repository, a store, and a runner that syncs on request.
type fixture struct {
	*testing.T
	git     *gittest.Repository
	store   *failing
	plans   planstore.Plans
	session string
	source  gitsync.Source
	// requests counts the sync requests.
	requests int
	observer observer
	// ahead is how much the clock of the runner is ahead, in nanoseconds.
	ahead  atomic.Int64
	runner *gitsync.Runner
	// stop ends the runner and returns its error.
	stop func() error
}

// observer collects all syncs.
type observer struct {
	mu    sync.Mutex
	syncs []gitsync.Sync
}

func (o *observer) Synced(s gitsync.Sync) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.syncs = append(o.syncs, s)
}

// failing is a store whose nth write of a plan from now on fails, before or after it was applied. Zero means none.
type failing struct {
	store.Store
	mu sync.Mutex
	// failAt is n. If late is set, the failing transaction is applied.
	failAt int
	late   bool
	// written are the last keys of all writes of plans.
	written []string
}

var errInterrupted = errors.New("interrupted")

func (f *failing) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	plans := slices.ContainsFunc(ops, func(op store.Op) bool { return strings.HasPrefix(op.Key, keys.Plans) && op.Verb.Writes() })
	if !plans {
		return f.Store.Txn(ctx, ops)
	}
	f.written = append(f.written, ops[len(ops)-1].Key)
	if f.failAt--; f.failAt != 0 {
		return f.Store.Txn(ctx, ops)
	}
	if f.late {
		if _, err := f.Store.Txn(ctx, ops); err != nil {
			return store.Result{}, err
		}
	}
	return store.Result{}, errInterrupted
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{T: t, git: gittest.New(t), store: &failing{Store: memory.New(time.Now)}}
	f.plans = planstore.Plans{Store: f.store}
	f.source = gitsync.Source{Name: "default", Location: repository.Location{URL: f.git.URL()}, Interval: "1h"}
	session, err := f.store.CreateSession(t.Context(), store.SessionOptions{Name: "test", TTL: time.Hour})
	f.must(err)
	f.session = session
	f.txn(store.Op{Verb: store.Lock, Key: keys.Leader, Session: session, Value: []byte("{}")})
	return f
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) txn(ops ...store.Op) {
	f.Helper()
	_, err := f.store.Store.Txn(f.Context(), ops)
	f.must(err)
}

// start runs a runner with the sources, or with that of the fixture if none is given.
func (f *fixture) start(sources ...gitsync.Source) {
	f.Helper()
	if len(sources) == 0 {
		sources = []gitsync.Source{f.source}
	}
	r := &gitsync.Runner{Sources: sources, Store: f.store,
		Plans:  func(session string) gitsync.Plans { return planstore.ManagedPlans{Store: f.store, Session: session} },
		Limits: repository.DefaultLimits(), Now: f.now, Random: func(time.Duration) time.Duration { return 0 },
		MinInterval: time.Millisecond, Log: logr.Discard(), Observer: &f.observer}
	f.runner = r
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, f.session) }()
	f.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	f.Cleanup(func() { _ = f.stop() })
	f.eventually("the first sync", func() bool { return len(f.status(sources[0].Name).Conditions) > 0 })
}

func (f *fixture) eventually(what string, condition func() bool) {
	f.Helper()
	gittest.Eventually(f.T, what, condition)
}

func (f *fixture) status(source string) gitsync.Status {
	f.Helper()
	pairs, _, err := f.store.Get(context.Background(), keys.Source(source))
	f.must(err)
	s, _ := gitsync.DecodeStatus(pairs[0])
	return s
}

// sync requests a sync and returns the status after it.
func (f *fixture) sync() gitsync.Status {
	f.Helper()
	f.requests++
	id := fmt.Sprint("sync ", f.requests)
	_, err := gitsync.RequestSync(f.Context(), f.store, f.source.Name, gitsync.Request{ID: id})
	f.must(err)
	f.eventually(id, func() bool { return f.status(f.source.Name).HandledRequest == id })
	return f.status(f.source.Name)
}

// stored returns NAME=VERSION for each plan.
func (f *fixture) stored() string {
	f.Helper()
	all, err := f.plans.List(context.Background())
	f.must(err)
	var out []string
	for _, p := range all {
		out = append(out, p.Name+"="+p.Spec.Version)
	}
	return strings.Join(out, " ")
}

func (f *fixture) wantStored(what, want string) {
	f.Helper()
	if got := f.stored(); got != want {
		f.Errorf("%s: got plans %q, want %q", what, got, want)
	}
}

// wantFailed checks that a sync fails for the reason with a message that contains the text, and which plans are stored.
func (f *fixture) wantFailed(what, reason, says, stored string) gitsync.Status {
	f.Helper()
	s := f.sync()
	if s.LastError == nil || s.LastError.Reason != reason || !strings.Contains(s.LastError.Message, says) || s.Ready().Reason != reason {
		f.Errorf("%s: %+v, want %s: %s", what, s.LastError, reason, says)
	}
	f.wantStored(what, stored)
	return s
}

func (f *fixture) wantSynced(what, stored string) gitsync.Status {
	f.Helper()
	s := f.sync()
	if s.LastError != nil || s.Ready().Status != "True" {
		f.Errorf("%s: %+v", what, s.LastError)
	}
	f.wantStored(what, stored)
	return s
}

func (f *fixture) get(name string) *v1alpha1.UpgradePlan {
	f.Helper()
	p, err := f.plans.Get(f.Context(), name)
	f.must(err)
	return p
}

func (f *fixture) origin(name string) fleet.Origin {
	f.Helper()
	o, err := f.plans.Origin(f.Context(), name)
	f.must(err)
	return o
}

// decoded returns the plan of a manifest.
func decoded(t testing.TB, text string) *v1alpha1.UpgradePlan {
	t.Helper()
	documents, err := manifest.Decode("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return documents[0].Plan
}
