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

// Catalog reads nodes and their health. Consul silently leaves out what an ACL forbids. Meta.Filtered says so, because a hidden
// node must look neither healthy nor gone.
type Catalog interface {
	// Unhealthy returns all warning and critical checks of all nodes at one moment, sorted by node, then id, and those that
	// mark nodes in maintenance. See the function Unhealthy.
	Unhealthy(ctx context.Context) ([]fleet.Check, Meta, error)
	// Nodes returns the names of all nodes in the catalog, sorted. The result is nil only with an error.
	Nodes(ctx context.Context) ([]string, Meta, error)
}

// The ACL rules that a token needs to read the catalog.
const (
	NodesPolicy  = `node_prefix "" { policy = "read" }`
	ChecksPolicy = NodesPolicy + ` and service_prefix "" { policy = "read" }`
)

// serviceMaintenance begins the id of the check with which Consul marks a service in maintenance. The id of the service follows.
const serviceMaintenance = "_service_maintenance:"

// ServiceCheck is a check of a service.
type ServiceCheck struct {
	fleet.Check
	// Service is the id of the service. Empty means that the check is of the node itself.
	Service string
}

// place is a service of a node. Without a service it is the node itself.
type place struct{ node, service string }

// Unhealthy returns the warning and critical checks, sorted by node, then id. Maintenance is no failure: of a node whose check
// fleet.NodeMaintenance is critical it returns that check alone, with the status fleet.Maintenance. It leaves out a service
// whose check _service_maintenance:<service> is critical. Every implementation of Catalog calls it.
func Unhealthy(checks []ServiceCheck) []fleet.Check {
	maintained := map[place]bool{}
	for _, c := range checks {
		if at, ok := c.maintains(); ok {
			maintained[at] = true
		}
	}
	var bad []fleet.Check
	for _, c := range checks {
		at, maintains := c.maintains()
		switch {
		case maintains && at.service == "":
			bad = append(bad, fleet.Check{Node: c.Node, ID: c.ID, Status: fleet.Maintenance})
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

// maintains returns what the check puts into maintenance. False means nothing.
func (c ServiceCheck) maintains() (place, bool) {
	if c.Status != fleet.Critical {
		return place{}, false
	}
	service, ofService := strings.CutPrefix(c.ID, serviceMaintenance)
	switch {
	case c.ID == fleet.NodeMaintenance:
		return place{node: c.Node}, true
	case ofService && service != "":
		return place{c.Node, service}, true
	}
	return place{}, false
}
