// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cache_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jiocloud/upgrade-controller/controllers/cache"
	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

var noon = time.Date(2026, 3, 6, 12, 0, 0, 0, time.UTC)

const fullReadInterval = 30 * time.Second

// fixture is a cache of three agents at v1.
type fixture struct {
	*testing.T
	store      *memory.Store
	layout     keys.Layout
	cache      *cache.Cache
	loads      int
	incomplete string // why full reads may lack keys
	err        error  // of full reads
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, store: memory.New(func() time.Time { return noon }), layout: keys.Layout{}}
	f.cache = cache.New(cache.Options{Store: f.store, Load: f.load, FullReadInterval: fullReadInterval})
	f.set(f.layout.CurrentVersion(), "v1")
	f.set(f.layout.EnableGlobal(), "False")
	for _, host := range []string{"web1", "web2", "web3"} {
		f.set(f.layout.Record("v1", host), "1772798400")
		f.report(host, "v1", fleet.PhaseIdle)
	}
	return f
}

func (f *fixture) load(ctx context.Context, s store.Reader, _ time.Time) (cache.Fleet, error) {
	f.loads++
	raw, err := fleetstore.ReadFleet(ctx, s, f.layout, fleetstore.SnapshotOptions{})
	if f.incomplete != "" {
		raw.Incomplete = f.incomplete
	}
	return cache.Fleet{Layout: f.layout, Keys: raw}, errors.Join(err, f.err)
}

// set writes a key and returns the index of the transaction.
func (f *fixture) set(key, value string) uint64 {
	f.Helper()
	result, err := f.store.Txn(f.Context(), []store.Op{{Verb: store.Set, Key: key, Value: []byte(value)}})
	if err != nil {
		f.Fatal(err)
	}
	return result.Index
}

func (f *fixture) report(host, version string, phase fleet.Phase) {
	f.Helper()
	report := fleet.Report{Schema: fleet.ReportSchema, Role: "web", Version: version, Phase: phase, Time: noon}
	f.set(f.layout.Report(host), string(keys.EncodeReport(report)))
}

// start writes what an agent writes as it starts.
func (f *fixture) start(host string) {
	f.Helper()
	f.set(f.layout.Started(host), string(keys.EncodeStarted(fleet.Started{Version: "v2", From: "v1", Time: noon})))
	f.report(host, "v2", fleet.PhaseUpgrading)
}

// changes returns the trees as a watch reports them after a change.
func (f *fixture) changes(trees ...string) (changed store.Changes) {
	f.Helper()
	for _, tree := range trees {
		target := store.WatchTarget{Prefix: tree}
		at, err := f.store.Wait(f.Context(), target, 0, 0)
		if err != nil {
			f.Fatal(err)
		}
		changed.Add(target, at)
	}
	return changed
}

// refresh makes a refresh that must not fail.
func (f *fixture) refresh(r cache.Request) cache.Snapshot {
	f.Helper()
	if r.Now.IsZero() {
		r.Now = noon
	}
	s, err := f.cache.Refresh(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// wantFleet compares a snapshot with a full read.
func (f *fixture) wantFleet(got cache.Snapshot) {
	f.Helper()
	want, err := fleetstore.ReadFleet(f.Context(), f.store, f.layout, fleetstore.SnapshotOptions{})
	if err != nil {
		f.Fatal(err)
	}
	if d := cmp.Diff(want, got.Keys, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(keys.Snapshot{}, "RecordIndex")); d != "" {
		f.Errorf("the cache differs from the store (-store +cache):\n%s", d)
	}
}

// wantLoads wants a number of full reads, and that the state of the cache is as given.
func (f *fixture) wantLoads(loads int, state cache.State) {
	f.Helper()
	if f.loads != loads || f.cache.State() != state {
		f.Errorf("%d full reads and state %d, want %d and %d", f.loads, f.cache.State(), loads, state)
	}
}

func TestRefresh_ReadsOnlyAHostThatStarted(t *testing.T) {
	f := newFixture(t)
	if s := f.refresh(cache.Request{}); !s.Full {
		t.Error("the first read is not full")
	}
	f.start("web2")
	changed := f.changes(f.layout.ReportTree())
	if !f.cache.Pending(changed) {
		t.Error("a new report is not pending")
	}
	f.wantFleet(f.refresh(cache.Request{Changed: changed}))
	f.wantLoads(1, cache.Warm)
	if f.cache.Pending(changed) {
		t.Error("the change is still pending after it was read")
	}
	if due := f.cache.FullReadDue(); !due.IsZero() {
		t.Errorf("a full read is due at %s, but the started marker explains the change", due)
	}
}

func TestRefresh_ReadsProgressOfHostsInFlight(t *testing.T) {
	f := newFixture(t)
	f.start("web2")
	f.refresh(cache.Request{})
	f.report("web2", "v2", fleet.PhaseFailed)
	f.wantFleet(f.refresh(cache.Request{Changed: f.changes(f.layout.ReportTree()), InFlight: []string{"web2"}}))
	f.wantLoads(1, cache.Warm)
}

func TestRefresh_ReadsEverythingForAKeyOfOperators(t *testing.T) {
	for name, key := range map[string]string{"current_version": keys.Layout{}.CurrentVersion(), "hold": keys.Layout{}.HoldEpoch()} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.refresh(cache.Request{})
			f.set(key, "v2")
			s := f.refresh(cache.Request{Changed: f.changes(key)})
			f.wantFleet(s)
			f.wantLoads(2, cache.Warm)
			if !s.Full {
				t.Error("the snapshot is not full")
			}
		})
	}
}

func TestRefresh_DelaysTheFullReadOfUnexplainedChanges(t *testing.T) {
	f := newFixture(t)
	f.refresh(cache.Request{})
	f.report("web3", "v1", fleet.PhaseFailed) // web3 is not in flight
	f.refresh(cache.Request{Changed: f.changes(f.layout.ReportTree())})
	f.wantLoads(1, cache.Warm)
	due := f.cache.FullReadDue()
	if want := noon.Add(fullReadInterval); !due.Equal(want) {
		t.Fatalf("a full read is due at %s, want %s", due, want)
	}
	f.refresh(cache.Request{Now: due.Add(-time.Second)})
	f.wantLoads(1, cache.Warm)
	f.wantFleet(f.refresh(cache.Request{Now: due}))
	f.wantLoads(2, cache.Warm)
	if due := f.cache.FullReadDue(); !due.IsZero() {
		t.Errorf("another full read is due at %s", due)
	}
}

func TestRefresh_FindsAddedHostsByNamesOfRecords(t *testing.T) {
	f := newFixture(t)
	f.refresh(cache.Request{})
	f.set(f.layout.Record("v1", "db1"), "1772798400")
	f.refresh(cache.Request{Changed: f.changes(f.layout.RecordTree())})
	f.wantFleet(f.refresh(cache.Request{Now: noon.Add(fullReadInterval)}))
	f.wantLoads(1, cache.Warm)
	if due := f.cache.FullReadDue(); !due.IsZero() {
		t.Errorf("another read is due at %s", due)
	}
}

func TestRefresh_ReadsEverythingAfterAnError(t *testing.T) {
	f := newFixture(t)
	f.refresh(cache.Request{})
	f.start("web1")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	changed := f.changes(f.layout.ReportTree())
	if _, err := f.cache.Refresh(ended, cache.Request{Now: noon, Changed: changed}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	f.wantLoads(1, cache.Cold)
	f.wantFleet(f.refresh(cache.Request{Changed: changed}))
	f.wantLoads(2, cache.Warm)
}

func TestLoad_CachesNoIncompleteOrFailedRead(t *testing.T) {
	f := newFixture(t)
	f.incomplete = "ACLs hid something"
	f.refresh(cache.Request{})
	f.refresh(cache.Request{})
	f.wantLoads(2, cache.Cold)
	f.incomplete = ""
	f.refresh(cache.Request{})
	f.wantLoads(3, cache.Warm)
	f.err = errors.New("no answer")
	if _, err := f.cache.Refresh(t.Context(), cache.Request{Now: noon, Changed: store.Changes{All: true}}); !errors.Is(err, f.err) {
		t.Errorf("error %v, want %v", err, f.err)
	}
	f.wantLoads(4, cache.Cold)
}

// commit writes an enable key as the controller does.
func (f *fixture) commit(host string) {
	f.Helper()
	key := f.layout.EnableHost(host)
	to := diff.Entry{Key: key, Value: "True"}
	index := f.set(key, to.Value)
	f.cache.Applied(diff.Changes{List: []diff.Change{{Op: diff.Set, To: to}}},
		fleetstore.Committed{Index: map[string]uint64{key: index}, Indexes: []uint64{index}})
}

// verify returns the values of drift by key, and whether the cache changed.
func (f *fixture) verify() (drift map[string]string, changed bool) {
	f.Helper()
	s, changed, err := f.cache.Verify(f.Context(), cache.Request{Now: noon})
	if err != nil {
		f.Fatal(err)
	}
	return driftOf(s), changed
}

func driftOf(s cache.Snapshot) map[string]string {
	drift := map[string]string{}
	for _, c := range s.Drift {
		drift[c.Key()] = c.From.Value + " to " + c.To.Value
	}
	return drift
}

func TestVerify_DistinguishesDriftFromOwnCommits(t *testing.T) {
	f := newFixture(t)
	f.refresh(cache.Request{})
	f.commit("web1")
	own := f.changes(f.layout.ConfigState())
	if f.cache.Pending(own) {
		t.Error("an own commit is pending")
	}
	f.wantFleet(f.refresh(cache.Request{Changed: own, Verify: true}))
	if drift, changed := f.verify(); len(drift) > 0 || changed {
		t.Errorf("after an own commit: drift %v, changed %v", drift, changed)
	}
	for _, host := range []string{"web1", "web2"} {
		f.commit(host)
	}
	for _, host := range []string{"web1", "web2"} { // the second drift does not repeat the first
		f.set(f.layout.EnableHost(host), "False")
		drift, changed := f.verify()
		if d := cmp.Diff(map[string]string{f.layout.EnableHost(host): "True to False"}, drift); d != "" || !changed {
			t.Errorf("changed %v, drift (-want +got):\n%s", changed, d)
		}
	}
	f.wantLoads(1, cache.Warm)
}

func TestInvalidate_KeepsWhatResetForgets(t *testing.T) {
	for name, c := range map[string]struct {
		clear func(*cache.Cache)
		drift int
	}{
		"Invalidate": {(*cache.Cache).Invalidate, 1},
		"Reset":      {(*cache.Cache).Reset, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.refresh(cache.Request{})
			f.commit("web1")
			f.set(f.layout.EnableHost("web1"), "False")
			c.clear(f.cache)
			f.wantLoads(1, cache.Cold)
			if drift := driftOf(f.refresh(cache.Request{})); len(drift) != c.drift {
				t.Errorf("drift %v, want %d keys", drift, c.drift)
			}
			f.wantLoads(2, cache.Warm)
		})
	}
}

func TestVerify_FindsAStartThatNoChangeAnnounced(t *testing.T) {
	f := newFixture(t)
	f.refresh(cache.Request{})
	f.refresh(cache.Request{}) // reads nothing, so the markers are not verified
	f.wantLoads(1, cache.WarmUnverified)
	f.start("web1")
	s, changed, err := f.cache.Verify(t.Context(), cache.Request{Now: noon})
	if err != nil || !changed {
		t.Fatalf("changed %v, error %v", changed, err)
	}
	f.wantFleet(s)
	f.wantLoads(1, cache.Warm)
}
