// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Registry changes the catalog of a store under test.
type Registry interface {
	// Register sets all checks of a service of the node, or of the node itself if service is empty. It adds the node and the
	// service if the catalog has none. It ignores the Node of the checks.
	Register(t testing.TB, node, service string, checks ...fleet.Check)
	// Deregister removes the node with all of its checks.
	Deregister(t testing.TB, node string)
}

// Catalog tests the catalog of stores that open returns. It may hold other nodes if their checks pass.
func Catalog(t *testing.T, open func(t *testing.T) (store.Store, Registry)) {
	for _, test := range []struct {
		name string
		run  func(registered)
	}{
		{"checks that do not pass, sorted", unhealthy},
		{"a node in maintenance has not failed, and is in maintenance", nodeMaintenance},
		{"a service in maintenance has not failed, the rest of its node may have", serviceMaintenance},
		{"nodes are sorted and complete", nodes},
		{"a node that is removed takes its checks along", nodeGoes},
		{"a context that has ended", catalogAfterTheEnd},
		{"a watch on checks fires for changes of checks only", watchChecks},
		{"a watch on nodes fires for new and removed nodes only", watchNodes},
		{"a wait for the catalog does not miss an earlier change", waitsLateForCatalog},
		{"a wait for the catalog stops with its context", catalogWaitStops},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, r := open(t)
			test.run(registered{harness{t, s}, r})
		})
	}
}

// registered is a harness whose catalog can be changed.
type registered struct {
	harness
	Registry
}

const passing fleet.CheckStatus = "passing"

func check(id string, status fleet.CheckStatus) fleet.Check {
	return fleet.Check{ID: id, Status: status}
}

func (h registered) register(node, service string, checks ...fleet.Check) {
	h.Helper()
	h.Register(h, node, service, checks...)
}

func (h registered) wantUnhealthy(want ...fleet.Check) {
	h.Helper()
	got, meta, err := h.Unhealthy(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	if !slices.Equal(got, want) || meta.Filtered || meta.Index == 0 {
		h.Errorf("%v, %+v, want %v", got, meta, want)
	}
}

func (h registered) nodes() []string {
	h.Helper()
	names, meta, err := h.Nodes(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	if names == nil || meta.Filtered || meta.Index == 0 {
		h.Errorf("%#v, %+v", names, meta)
	}
	return names
}

func unhealthy(h registered) {
	h.wantUnhealthy()
	h.register("web2", "", check("disk", fleet.Critical), check("agent", fleet.Warning), check("load", passing))
	h.register("web10", "http", check("port", fleet.Critical))
	h.register("web1", "", check("load", passing))
	want := []fleet.Check{{Node: "web10", ID: "port", Status: fleet.Critical}, {Node: "web2", ID: "agent", Status: fleet.Warning},
		{Node: "web2", ID: "disk", Status: fleet.Critical}}
	h.wantUnhealthy(want...)
	h.register("web2", "", check("disk", fleet.Warning), check("agent", passing), check("load", passing))
	h.wantUnhealthy(want[0], fleet.Check{Node: "web2", ID: "disk", Status: fleet.Warning})
	h.register("web2", "")
	h.register("web10", "http", check("port", passing))
	h.wantUnhealthy()
}

func nodeMaintenance(h registered) {
	h.register("web1", "", check("disk", fleet.Critical), check("_node_maintenance", fleet.Critical))
	h.register("web1", "http", check("port", fleet.Warning))
	h.register("web2", "", check("disk", fleet.Critical), check("_node_maintenance", passing))
	other := fleet.Check{Node: "web2", ID: "disk", Status: fleet.Critical}
	h.wantUnhealthy(fleet.Check{Node: "web1", ID: fleet.NodeMaintenance, Status: fleet.Maintenance}, other)
	h.register("web1", "", check("disk", fleet.Critical))
	h.wantUnhealthy(fleet.Check{Node: "web1", ID: "disk", Status: fleet.Critical},
		fleet.Check{Node: "web1", ID: "port", Status: fleet.Warning}, other)
}

func serviceMaintenance(h registered) {
	h.register("web1", "http", check("port", fleet.Critical), check("_service_maintenance:http", fleet.Critical))
	h.register("web1", "ssh", check("login", fleet.Warning))
	h.register("web1", "", check("disk", fleet.Warning))
	h.register("web2", "http", check("port", fleet.Critical))
	rest := []fleet.Check{{Node: "web1", ID: "disk", Status: fleet.Warning}, {Node: "web1", ID: "login", Status: fleet.Warning},
		{Node: "web2", ID: "port", Status: fleet.Critical}}
	h.wantUnhealthy(rest...)
	h.register("web1", "http", check("port", fleet.Critical))
	h.wantUnhealthy(append(rest[:2:2], fleet.Check{Node: "web1", ID: "port", Status: fleet.Critical}, rest[2])...)
}

func nodes(h registered) {
	there := h.nodes()
	h.register("web2", "", check("disk", fleet.Critical))
	h.register("web10", "")
	h.register("web1", "http")
	want := slices.Sorted(slices.Values(append(there, "web1", "web10", "web2")))
	if got := h.nodes(); !slices.Equal(got, want) {
		h.Errorf("%q, want %q", got, want)
	}
}

func nodeGoes(h registered) {
	there := h.nodes()
	h.register("web1", "", check("disk", fleet.Critical))
	h.register("web1", "http", check("port", fleet.Critical))
	h.Deregister(h, "web1")
	if got := h.nodes(); !slices.Equal(got, there) {
		h.Errorf("%q, want %q", got, there)
	}
	h.wantUnhealthy()
	h.register("web1", "")
	h.wantUnhealthy()
}

func catalogAfterTheEnd(h registered) {
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	_, _, unhealthy := h.Unhealthy(ctx)
	_, _, named := h.Nodes(ctx)
	for call, err := range map[string]error{"Unhealthy": unhealthy, "Nodes": named} {
		if !errors.Is(err, context.Canceled) {
			h.Errorf("%s: %v, want %v", call, err, context.Canceled)
		}
	}
}

// watchChecks runs while other checks are critical and warning, since a store may keep those apart.
func watchChecks(h registered) {
	h.register("other1", "", check("disk", fleet.Critical))
	h.register("other2", "", check("disk", fleet.Warning))
	h.register("web1", "", check("disk", passing))
	for _, change := range []struct {
		service string
		checks  []fleet.Check
	}{
		{"", []fleet.Check{check("disk", fleet.Warning)}},
		{"", []fleet.Check{check("disk", fleet.Critical)}},
		{"", []fleet.Check{check("disk", fleet.Warning)}},
		{"", []fleet.Check{check("disk", passing)}},
		{"", []fleet.Check{check("disk", fleet.Critical)}},
		{"http", []fleet.Check{check("port", fleet.Warning)}},
		{"", []fleet.Check{check("disk", fleet.Critical), check("_node_maintenance", fleet.Critical)}},
		{"", nil},
	} {
		h.fires(checksTarget(), func() { h.register("web1", change.service, change.checks...) })
	}
	h.fires(checksTarget(), func() { h.Deregister(h, "other2") })
}

func watchNodes(h registered) {
	for range 2 {
		h.fires(nodesTarget(), func() { h.register("web1", "") }, func() { h.register("other", "", check("disk", passing)) })
		h.fires(nodesTarget(), func() { h.Deregister(h, "web1") },
			func() { h.register("other", "", check("disk", fleet.Critical)) },
			func() { h.register("other", "", check("disk", fleet.Warning)) })
		h.Deregister(h, "other")
	}
}

// fires tests that a wait wakes for the change, and neither for keys nor for what is done before it.
func (h registered) fires(target store.WatchTarget, change func(), before ...func()) {
	h.Helper()
	if len(before) > 0 {
		before[0]() // it may add what it changes
		before = before[1:]
	}
	woken := h.waiting(target, h.state(target))
	for _, do := range before {
		do()
	}
	last := h.set("other", string(h.get("other").Value)+".")
	change()
	if at := <-woken; at.Index <= last || at.Empty {
		h.Errorf("%s: woke at %+v, a key was written at %d before the change", target, at, last)
	}
}

func waitsLateForCatalog(h registered) {
	for _, target := range []store.WatchTarget{checksTarget(), nodesTarget()} {
		before := h.state(target)
		h.register("web-"+target.String(), "", check("disk", fleet.Critical))
		last := h.set("other", target.String())
		at := <-h.waiting(target, before)
		if at.Index <= before.Index || at.Index >= last || at.Empty {
			h.Errorf("%s is at %+v, was at %d, and a key was written at %d", target, at, before.Index, last)
		}
		if again := h.state(target); again != at {
			h.Errorf("%s is at %+v, then at %+v", target, at, again)
		}
	}
}

func catalogWaitStops(h registered) {
	for _, target := range []store.WatchTarget{checksTarget(), nodesTarget()} {
		before := h.state(target)
		ctx, cancel := context.WithCancel(h.Context())
		stopped := make(chan error)
		go func() {
			_, err := h.Wait(ctx, target, before.Index, store.MaxWait)
			stopped <- err
		}()
		cancel()
		if err := <-stopped; !errors.Is(err, context.Canceled) {
			h.Errorf("%s: %v, want %v", target, err, context.Canceled)
		}
	}
}
