// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// Catalog is what the store knows of nodes and their health. Consul hides what an ACL forbids without a word, which Meta
// tells: what is hidden must look neither healthy nor gone.
type Catalog interface {
	// Unhealthy returns all checks of all nodes that are warning or critical, sorted by node, then id, all of one moment.
	// Those of nodes and services in maintenance are left out entirely: see Unhealthy.
	Unhealthy(ctx context.Context) ([]fleet.Check, Meta, error)
	// Nodes returns the names of all nodes in the catalog, sorted. It is nil only with an error.
	Nodes(ctx context.Context) ([]string, Meta, error)
}

// The rules that a token needs to read the catalog.
const (
	NodesPolicy  = `node_prefix "" { policy = "read" }`
	ChecksPolicy = NodesPolicy + ` and service_prefix "" { policy = "read" }`
)

// The ids of the checks by which Consul keeps maintenance; that of a service ends in the service's id.
const (
	nodeMaintenance    = "_node_maintenance"
	serviceMaintenance = "_service_maintenance:"
)

// ServiceCheck is a check with the id of the service that it is on; empty: on the node.
type ServiceCheck struct {
	fleet.Check
	Service string
}

// place is a service of a node, or with an empty Service the node.
type place struct{ node, service string }

// Unhealthy returns those of the checks that are warning or critical, sorted by node, then id. Who is in maintenance has
// not failed: a node whose check _node_maintenance is critical is left out, and so is a service whose check
// _service_maintenance:<service> is. Every implementation of Catalog calls it.
func Unhealthy(checks []ServiceCheck) []fleet.Check {
	maintained := map[place]bool{}
	for _, c := range checks {
		if at, ok := c.maintains(); ok {
			maintained[at] = true
		}
	}
	var bad []fleet.Check
	for _, c := range checks {
		_, maintains := c.maintains()
		switch {
		case c.Status != fleet.Warning && c.Status != fleet.Critical:
		case maintains, maintained[place{node: c.Node}], maintained[place{c.Node, c.Service}]:
		default:
			bad = append(bad, c.Check)
		}
	}
	slices.SortFunc(bad, func(a, b fleet.Check) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), strings.Compare(a.ID, b.ID))
	})
	return bad
}

// maintains says what the check puts into maintenance, if that is what it does.
func (c ServiceCheck) maintains() (place, bool) {
	if c.Status != fleet.Critical {
		return place{}, false
	}
	service, ofService := strings.CutPrefix(c.ID, serviceMaintenance)
	switch {
	case c.ID == nodeMaintenance:
		return place{node: c.Node}, true
	case ofService && service != "":
		return place{c.Node, service}, true
	}
	return place{}, false
}
