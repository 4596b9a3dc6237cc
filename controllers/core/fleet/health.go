// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

// CheckStatus is the status of a Consul check that does not pass.
type CheckStatus string

// The statuses.
const (
	Warning  CheckStatus = "warning"
	Critical CheckStatus = "critical"
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
	for _, c := range h.Checks {
		if c.Status == Critical {
			return true
		}
	}
	return false
}

// CheckTimes are when required checks of a host first failed, and passed again, in Unix seconds. Passed is 0 while they
// fail.
type CheckTimes struct {
	Failed int64 `json:"failed"`
	Passed int64 `json:"passed,omitempty"`
}
