// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

func (d *decoder) nodes() {
	d.checksOf, d.nodeOfLabel = map[string][]fleet.Check{}, map[string]string{}
	for _, c := range d.snapshot.Checks {
		d.checksOf[c.Node] = append(d.checksOf[c.Node], c)
		d.addLabel(c.Node)
	}
	for _, node := range d.snapshot.Nodes {
		d.addLabel(node)
	}
}

// addLabel notes a node whose name has several labels.
func (d *decoder) addLabel(node string) {
	label, _, ok := strings.Cut(node, ".")
	if !ok {
		return
	}
	if other, known := d.nodeOfLabel[label]; known && other != node {
		node = "" // ambiguous
	}
	d.nodeOfLabel[label] = node
}

// nodeNames returns the names under which the node of a host may be: that of the host, that of which it is the first label, and
// its own first label.
func (d *decoder) nodeNames(host string) [3]string {
	label, _, _ := strings.Cut(host, ".")
	return [...]string{host, d.nodeOfLabel[host], label}
}

// nodeOf fills in the health of a host's node. Names of nodes and hosts may be full names or their first labels.
func (d *decoder) nodeOf(h *fleet.Host) {
	if len(d.checksOf) == 0 && d.snapshot.Nodes == nil {
		return
	}
	h.Lost = d.snapshot.Nodes != nil
	for _, name := range d.nodeNames(h.Name) {
		if h.Checks == nil {
			h.Checks = d.checksOf[name]
		}
		if _, known := slices.BinarySearch(d.snapshot.Nodes, name); known && name != "" {
			h.Lost = false
		}
	}
}
