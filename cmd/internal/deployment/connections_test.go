// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

const (
	manyPlans     = 200
	hostsPerFleet = 20
)

// manyFleets are fleets of legacy hosts on one Consul with its default limits.
type manyFleets struct {
	*testing.T
	client *api.Client
	ctl    program
}

func newManyFleets(t *testing.T) *manyFleets {
	t.Helper()
	consul := consultest.Start(t)
	client, err := api.NewClient(&api.Config{Address: consul.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	f := &manyFleets{T: t, client: client, ctl: program{"upgradectl", []string{"CONSUL_HTTP_ADDR=" + consul.Addr()}}}
	dir := t.TempDir()
	for i := range manyPlans {
		for host := range hostsPerFleet {
			f.record(i, "v1", host)
		}
		text := fmt.Sprintf("apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: fleet%d}\nspec:\n"+
			"  version: v2\n  keys: {prefix: fleet%[1]d}\n  instructions: {rollingRules: {global: 1}}\n", i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("fleet%d.yaml", i)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.ctl.must(t, "apply", "-f", dir)
	return f
}

func (f *manyFleets) record(i int, version string, host int) {
	f.Helper()
	key := fmt.Sprintf("fleet%d/running/versions/%s/web%d", i, version, host+1)
	if _, err := f.client.KV().Put(&api.KVPair{Key: key, Value: []byte("1")}, nil); err != nil {
		f.Fatal(err)
	}
}

// allowed reports whether a host may upgrade.
func (f *manyFleets) allowed(i, host int) bool {
	f.Helper()
	pair, _, err := f.client.KV().Get(fmt.Sprintf("fleet%d/config_state/enable_puppet/host/web%d", i, host+1), nil)
	if err != nil {
		f.Fatal(err)
	}
	return pair != nil && string(pair.Value) == "True"
}

// within waits for a condition, and fails if it takes longer than a bound of the specification.
func (f *manyFleets) within(bound time.Duration, what string, condition func() bool) {
	f.Helper()
	begun := time.Now()
	eventually(f.T, what, condition)
	if took := time.Since(begun); took > bound {
		f.Errorf("%s took %s, more than %s", what, took, bound)
	} else {
		f.Logf("%s took %s", what, took)
	}
}

// connections is how many connections Consul has accepted and not closed.
func (f *manyFleets) connections(pid int) int {
	f.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		f.Fatal(err)
	}
	sockets := 0
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return sockets
}

// 200 plans need some thousand watches, and Consul accepts 200 connections from one address. The controller gets by with 64, also
// after it was killed.
func TestConnections_SufficeForManyPlans(t *testing.T) {
	f := newManyFleets(t)
	controller := program{"upgrade-controller", f.ctl.env}
	first := controller.command("--health-probe-bind-address", "0")
	log := &output{}
	first.Stdout, first.Stderr = log, log
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	released := 0
	f.within(30*time.Second, "the first host of each fleet", func() bool {
		for released < manyPlans && f.allowed(released, 0) {
			released++
		}
		return released == manyPlans
	})
	if got := f.connections(first.Process.Pid); got > 70 { // the sockets that listen, and those of the log
		t.Errorf("the controller has %d sockets", got)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed
	second := controller.start(t, "--health-probe-bind-address", "0")
	eventually(t, "the second controller to lead", func() bool { return strings.Contains(second.String(), "leading") })
	f.record(150, "v2", 0)
	f.within(20*time.Second, "the next host of a fleet", func() bool { return f.allowed(150, 1) })
	f.pauses()
	f.record(199, "v2", 0)
	f.within(20*time.Second, "the next host of another fleet", func() bool { return f.allowed(199, 1) })
	if text := second.String() + log.String(); strings.Contains(text, "status 429") {
		t.Errorf("Consul refused connections:\n%s", text)
	}
	if out := f.ctl.must(t, "describe", "plan", "fleet7"); !strings.Contains(out, "the watches of the controller take turns: 200 plans have about") {
		t.Errorf("describe plan:\n%s", out)
	}
}

// pauses pauses plans one after the other. Each order takes a second at most.
func (f *manyFleets) pauses() {
	f.Helper()
	for i := range 5 {
		begun := time.Now()
		f.ctl.must(f.T, "rollout", "pause", fmt.Sprintf("fleet%d", i))
		if took := time.Since(begun); took > time.Second {
			f.Errorf("rollout pause took %s", took)
		}
	}
}
