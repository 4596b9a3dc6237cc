// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

const (
	benchHosts  = 100_000
	benchStarts = 5_000
)

// bench is a fleet of 100,000 hosts in ten roles, in a real single server.
type bench struct {
	*testing.B
	addr    string
	store   *consul.Store
	session string
}

// newBench returns a fleet of legacy hosts, or of agents.
func newBench(b *testing.B, agents bool) *bench {
	agent := consultest.StartWith(b, consuldev.Options{Server: true})
	s, err := consul.New(consul.Config{Address: agent.Addr()})
	if err != nil {
		b.Fatal(err)
	}
	x := &bench{B: b, addr: agent.Addr(), store: s}
	x.session, err = s.CreateSession(b.Context(), store.SessionOptions{Name: "bench", TTL: time.Hour})
	x.must(err)
	x.txn(store.Op{Verb: store.Lock, Key: keys.Leader, Session: x.session})
	l := keys.Layout{}
	ops := []store.Op{{Verb: store.Set, Key: l.CurrentVersion(), Value: []byte("1")},
		{Verb: store.Set, Key: l.EnableGlobal(), Value: []byte(keys.Disabled)}}
	for i := range benchHosts {
		ops = append(ops, store.Op{Verb: store.Set, Key: l.Record("1", benchHost(i)), Value: []byte("1782000000")})
		if agents {
			report := fleet.Report{Schema: fleet.ReportSchema, Role: fleet.RoleOf(benchHost(i)), Version: "1", Phase: fleet.PhaseIdle,
				Time: time.Now(), Machine: fmt.Sprintf("%032x", i)}
			ops = append(ops, store.Op{Verb: store.Set, Key: l.Report(benchHost(i)), Value: keys.EncodeReport(report)})
		}
	}
	x.txn(ops...)
	return x
}

func benchHost(i int) string { return fmt.Sprintf("role%c%d-dc1", 'a'+i%10, i/10) }

func (x *bench) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *bench) txn(ops ...store.Op) {
	x.Helper()
	for chunk := range slices.Chunk(ops, store.MaxOps) {
		_, err := x.store.Txn(x.Context(), chunk)
		x.must(err)
	}
}

func (x *bench) apply(spec string) {
	_, _, err := planstore.Plans{Store: x.store}.Apply(x.Context(), planOf(x, spec), false)
	x.must(err)
}

func (x *bench) reconcile() upgradeplan.Result {
	x.Helper()
	r := upgradeplan.Reconciler{Store: x.store, Session: x.session, Now: time.Now, Log: logr.Discard()}
	result, err := r.Reconcile(x.Context(), "fleet")
	x.must(err)
	return result
}

// rawRead reads a tree as curl does, and throws it away.
func (x *bench) rawRead(ctx context.Context, prefix string) {
	x.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+x.addr+"/v1/kv/"+prefix+"?recurse", nil)
	x.must(err)
	request.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultClient.Do(request)
	x.must(err)
	_, err = io.Copy(io.Discard, response.Body)
	x.must(err)
	x.must(response.Body.Close())
}

const benchPlan = "version: '%d'\ninstructions: {rollingRules: {global: 500}}"

// BenchmarkFirstPass switches the version and grants 5,000 of 100,000 hosts, beside reading the trees of hosts raw and writing as
// many keys in full transactions: a key of each legacy host, a grant and a key of each agent.
func BenchmarkFirstPass(b *testing.B) {
	for _, agents := range []bool{false, true} {
		name := "legacy"
		if agents {
			name = "agents"
		}
		b.Run(name, func(b *testing.B) {
			x := newBench(b, agents)
			b.Run("raw", func(b *testing.B) { x.rawFirstPass(b, agents) })
			x.txn(store.Op{Verb: store.DeleteTree, Key: "raw/"})
			b.Run("pass", x.firstPass)
		})
	}
}

func (x *bench) rawFirstPass(b *testing.B, agents bool) {
	l, version := keys.Layout{}, uint64(0)
	for b.Loop() {
		version++
		x.rawRead(b.Context(), l.RecordTree())
		x.rawRead(b.Context(), l.EnableTree())
		var ops []store.Op
		for i := range benchStarts {
			ops = append(ops, store.Op{Verb: store.Set, Key: fmt.Sprintf("raw/keys/%d", i), Value: []byte(keys.Enabled), Flags: version})
		}
		if agents {
			x.rawRead(b.Context(), l.ReportTree())
			for i := range benchStarts {
				grant := keys.EncodeGrant(fleet.Grant{Rollout: version, Version: "2", Time: time.Now(), ID: fmt.Sprintf("%d.1.1", version)})
				ops = append(ops, store.Op{Verb: store.Set, Key: fmt.Sprintf("raw/grants/%d", i), Value: grant})
			}
		}
		x.txn(ops...)
	}
}

func (x *bench) firstPass(b *testing.B) {
	l, version := keys.Layout{}, 1
	for b.Loop() {
		version++
		b.StopTimer()
		x.txn(store.Op{Verb: store.Set, Key: l.CurrentVersion(), Value: []byte("1")},
			store.Op{Verb: store.DeleteTree, Key: l.EnableTree()},
			store.Op{Verb: store.DeleteTree, Key: l.GrantTree()},
			store.Op{Verb: store.DeleteTree, Key: l.StartedTree()},
			store.Op{Verb: store.Set, Key: l.EnableGlobal(), Value: []byte(keys.Disabled)})
		x.apply(fmt.Sprintf(benchPlan, version))
		b.StartTimer()
		if r := x.reconcile(); r.Starts != benchStarts {
			b.Fatalf("%d starts: %s", r.Starts, r.Decision.Gate.Message)
		}
	}
}

// BenchmarkIdlePass is a pass that changes nothing, at the start of a rollout and with a key for every host.
func BenchmarkIdlePass(b *testing.B) {
	x := newBench(b, false)
	for _, at := range []struct{ name, plan string }{
		{"start", fmt.Sprintf(benchPlan, 3)},
		{"all-released", "version: '3'"},
	} {
		x.apply(at.plan)
		x.reconcile()
		b.Run(at.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := x.reconcile(); r.Written.Transactions != 0 {
					b.Fatalf("wrote %s", r.Written)
				}
			}
		})
		b.Run(at.name+"/observe", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o, err := planstore.ObserveFleet(b.Context(), x.store, keys.Layout{}, time.Now())
				x.must(err)
				x.must(json.NewEncoder(io.Discard).Encode(status.HostListsOf(&o.Decision)))
			}
		})
		b.Run(at.name+"/raw", func(b *testing.B) {
			for b.Loop() {
				x.rawRead(b.Context(), keys.Layout{}.RecordTree())
				x.rawRead(b.Context(), keys.Layout{}.EnableTree())
			}
		})
	}
}
