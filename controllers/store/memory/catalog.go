// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// catalog holds the checks of each node by its name, and the indexes of the last changes.
type catalog struct {
	nodes                 map[string][]store.ServiceCheck
	checkIndex, nodeIndex uint64
}

// SetNodes sets the nodes of the catalog. A node that stays keeps its checks.
func (s *Store) SetNodes(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := make(map[string][]store.ServiceCheck, len(names))
	for _, name := range names {
		nodes[name] = s.catalog.nodes[name]
	}
	s.setCatalog(nodes)
}

// SetChecks sets the checks of the node itself, and adds a missing node to the catalog. It ignores the Node of the checks. Passing
// checks may be left out.
func (s *Store) SetChecks(node string, checks ...fleet.Check) {
	s.SetServiceChecks(node, "", checks...)
}

// SetServiceChecks is SetChecks for a service of the node, by the id of the service.
func (s *Store) SetServiceChecks(node, service string, checks ...fleet.Check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set := slices.DeleteFunc(slices.Clone(s.catalog.nodes[node]), func(c store.ServiceCheck) bool { return c.Service == service })
	for _, c := range checks {
		c.Node = node
		set = append(set, store.ServiceCheck{Check: c, Service: service})
	}
	nodes := maps.Clone(s.catalog.nodes)
	nodes[node] = set
	s.setCatalog(nodes)
}

// setCatalog replaces all nodes at one index, and wakes the waits for what has changed.
func (s *Store) setCatalog(nodes map[string][]store.ServiceCheck) {
	was := s.catalog.nodes
	s.catalog.nodes = nodes
	checks := !maps.EqualFunc(was, nodes, slices.Equal[[]store.ServiceCheck])
	names := !maps.EqualFunc(was, nodes, func(_, _ []store.ServiceCheck) bool { return true })
	if checks || names {
		s.index++
	}
	if checks {
		s.catalog.checkIndex = s.index
		s.catalogChanged(store.Checks)
	}
	if names {
		s.catalog.nodeIndex = s.index
		s.catalogChanged(store.Nodes)
	}
}

// Unhealthy returns the checks that are warning or critical.
func (s *Store) Unhealthy(ctx context.Context) ([]fleet.Check, store.Meta, error) {
	if err := s.lock(ctx); err != nil {
		return nil, store.Meta{}, err
	}
	defer s.mu.Unlock()
	var checks []store.ServiceCheck
	for _, of := range s.catalog.nodes {
		checks = append(checks, of...)
	}
	return store.Unhealthy(checks), store.Meta{Index: s.index}, nil
}

// Nodes returns the names of all nodes.
func (s *Store) Nodes(ctx context.Context) ([]string, store.Meta, error) {
	if err := s.lock(ctx); err != nil {
		return nil, store.Meta{}, err
	}
	defer s.mu.Unlock()
	names := slices.AppendSeq(make([]string, 0, len(s.catalog.nodes)), maps.Keys(s.catalog.nodes))
	slices.Sort(names)
	return names, store.Meta{Index: s.index}, nil
}
