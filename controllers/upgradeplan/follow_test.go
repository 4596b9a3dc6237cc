// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// followed is a follower and the last assessment that it returned.
type followed struct {
	*fixture
	seen  chan *pass.Assessment
	ended chan error
}

func newFollowed(t *testing.T, f *fixture, s store.Store) *followed {
	x := &followed{f, make(chan *pass.Assessment), make(chan error, 1)}
	follower := upgradeplan.Follower{Store: s, Plan: "fleet", Now: f.clock.Now, Failed: func(err error) { t.Error(err) }}
	go func() {
		x.ended <- follower.Follow(t.Context(), func(o *pass.Assessment) error {
			select {
			case x.seen <- o:
				return nil
			case <-t.Context().Done():
				return t.Context().Err()
			}
		})
	}()
	return x
}

// until waits for an assessment that fulfills a condition.
func (x *followed) until(what string, is func(*pass.Assessment) bool) *pass.Assessment {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx(), time.Minute)
	defer cancel()
	for {
		select {
		case o := <-x.seen:
			if is(o) {
				return o
			}
		case err := <-x.ended:
			x.t.Fatalf("it ended before it saw %s: %v", what, err)
		case <-ctx.Done():
			x.t.Fatalf("it never saw %s", what)
		}
	}
}

func in(host string, state rollout.State) func(*pass.Assessment) bool {
	return func(o *pass.Assessment) bool {
		for _, v := range o.Present().Verdicts {
			if v.Host == host {
				return v.State == state
			}
		}
		return false
	}
}

func TestFollower_ReadsOnlyWhatChanged(t *testing.T) {
	c := newClock()
	f := newFixture(t, memory.New(c.Now), c)
	var hosts []string
	for i := range 200 {
		hosts = append(hosts, fmt.Sprintf("web%d", i+1))
	}
	f.hosts(true, "v1", hosts...)
	f.apply("version: v2\ninstructions: {rollingRules: {global: 2}}")
	f.reconcile()
	counted := &reads{Store: f.store}
	x := newFollowed(t, f, counted)
	first := x.until("the released host", in("web1", rollout.Upgrading))
	counted.count()
	f.begin("v2", "web1")
	x.until("its start", func(o *pass.Assessment) bool { h, _ := o.Fleet.Host("web1"); return h.Started != nil })
	f.reach(true, "v1", "v2", "web1")
	after := x.until("its end", in("web1", rollout.Upgraded))
	if h, _ := after.Fleet.Host("web1"); h.Record.Time.IsZero() {
		t.Error("the time of its record was not read")
	}
	f.reconcile()
	x.until("what the controller does then", in("web3", rollout.Upgrading))
	if trees, _, _ := counted.count(); trees > 4 { // config_state/, for what the controller has written
		t.Errorf("%d whole trees were read for one host", trees)
	}
	if h, _ := first.Fleet.Host("web1"); h.Started != nil || h.Record.Version != "v1" {
		t.Error("the first assessment was changed later")
	}
	spec := f.get(keys.Plan("fleet").Spec())
	f.txn(store.Op{Verb: store.Set, Key: spec.Key, Value: []byte("{")}, planstore.NotifyWatches(spec))
	for err := error(nil); err == nil; {
		select {
		case <-x.seen:
		case err = <-x.ended:
			if _, ok := errors.AsType[*planstore.InvalidPlanError](err); !ok {
				t.Errorf("a plan that cannot be read: %v", err)
			}
		}
	}
}
