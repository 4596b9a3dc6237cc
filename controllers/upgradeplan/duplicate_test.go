// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

// machineID identifies a machine of a test.
type machineID string

func (m machineID) ID() (string, error) { return string(m), nil }

// agentClock is the clock of an agent that never sleeps.
type agentClock struct{ *clock }

func (agentClock) Sleep(context.Context, time.Duration) error { return nil }

// machine returns the agent of a machine that has the name web1 and version 1.
func (f *fixture) machine(id machineID) func() {
	version := &agent.MemoryVersion{}
	f.must(version.SetVersion("1"))
	a, err := agent.New(agent.Options{Host: "web1", Layout: f.layout, Store: f.store, Version: version, Machine: id,
		Clock: agentClock{f.clock}, Random: func() float64 { return 0 },
		Step: func(context.Context, agent.Change) (string, error) { return "", nil }})
	f.must(err)
	return func() {
		f.t.Helper()
		_, err := a.Once(f.ctx())
		f.must(err)
	}
}

// minute lets a minute pass, and keeps the lock.
func (f *fixture) minute() {
	f.t.Helper()
	f.clock.Advance(time.Minute)
	f.must(f.store.RenewSession(f.ctx(), f.session))
}

// Two machines under one name: the host is held, and neither the status nor the events flip. It goes on when it is forgotten,
// or when one machine is silent.
func TestDuplicate_IsHeldAndStable(t *testing.T) {
	for _, end := range []string{"forgotten", "silent"} {
		t.Run(end, func(t *testing.T) {
			onBoth(t, func(f *fixture) {
				f.set("current_version", "1")
				f.apply(twoAtATime)
				first, second := f.machine("3f2a0000"), f.machine("91cc0000")
				f.hosts(true, "1", "web2")
				first()
				second()
				first()
				f.reconcile() // switches
				f.reconcile()
				r := f.reconcile()
				v := verdict(t, r, "web1")
				if v.Reason != v1alpha1.ReasonDuplicate || v.Grant != nil || f.get(f.layout.Grant("web1")).Exists() {
					t.Fatalf("%s: %s, grant %+v", v.Reason, v.Message, v.Grant)
				}
				before, counted := f.stored(), 0
				if before.Hosts.Held != 1 {
					t.Errorf("%+v", before.Hosts)
				}
				for range 30 {
					f.minute()
					second()
					first()
					counted += f.reconcile().Written.Transactions
				}
				if d := cmp.Diff(before.Hosts, f.stored().Hosts); d != "" || counted != 0 {
					t.Errorf("%d transactions of the controller, status %s", counted, d)
				}
				if end == "forgotten" {
					_, err := planstore.Plans{Store: f.store}.Forget(f.ctx(), planstore.ForgetOptions{Plan: "fleet", Layout: f.layout,
						Host: "web1", Force: true, Now: f.clock.Now()})
					f.must(err)
				} else {
					for range 21 {
						f.minute()
						second()
					}
				}
				second()
				f.reconcile()
				if v := verdict(t, f.reconcile(), "web1"); v.Reason != v1alpha1.ReasonGranted {
					t.Errorf("%s: %s", v.Reason, v.Message)
				}
				second()
				if v := verdict(t, f.reconcile(), "web1"); v.Reason != v1alpha1.ReasonAtVersion {
					t.Errorf("%s: %s", v.Reason, v.Message)
				}
			})
		})
	}
}
