// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "slices"

// CheckStatus is the status of a Consul check that does not pass.
type CheckStatus string

// The statuses.
const (
	Warning  CheckStatus = "warning"
	Critical CheckStatus = "critical"
	// Maintenance is the status of NodeMaintenance while it is on.
	Maintenance CheckStatus = "maintenance"
)

// The ids of the checks by which Consul says that a node is in maintenance, and whether its agent is alive.
const (
	NodeMaintenance = "_node_maintenance"
	SerfHealth      = "serfHealth"
)

// Check is a check on a node, or on a service of it, that does not pass.
type Check struct {
	Node string
	// ID is unique on the node.
	ID     string
	Status CheckStatus
}

// Fails reports whether the check fails as a required check. A warning of puppet or validation is a failure, as for jorc.
func (c Check) Fails() bool {
	return c.Status == Critical || c.Status == Warning && (c.ID == "puppet" || c.ID == "validation")
}

// Critical reports whether any check of the host is critical.
func (h *Host) Critical() bool {
	return slices.ContainsFunc(h.Checks, func(c Check) bool { return c.Status == Critical })
}

// InMaintenance reports whether the node of the host is in maintenance.
func (h *Host) InMaintenance() bool {
	return slices.ContainsFunc(h.Checks, func(c Check) bool { return c.Status == Maintenance })
}

// CheckTimes are when required checks of a host first failed, and passed again, in Unix seconds. Passed is 0 while they
// fail.
type CheckTimes struct {
	Failed int64 `json:"failed"`
	Passed int64 `json:"passed,omitempty"`
}
