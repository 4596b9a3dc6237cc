// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

// CheckStatus is how a check of Consul's stands that does not pass.
type CheckStatus string

// The statuses.
const (
	Warning  CheckStatus = "warning"
	Critical CheckStatus = "critical"
)

// Check is a check on a node, or on a service of it, that does not pass.
type Check struct {
	Node string
	// ID is the check's, unique on its node.
	ID     string
	Status CheckStatus
}

// Fails says whether a host that must pass it does not. Of puppet and validation a warning is a failure, as it was for
// jorc.
func (c Check) Fails() bool {
	return c.Status == Critical || c.Status == Warning && (c.ID == "puppet" || c.ID == "validation")
}

// Critical says whether any check of the host is critical.
func (h *Host) Critical() bool {
	for _, c := range h.Checks {
		if c.Status == Critical {
			return true
		}
	}
	return false
}

// CheckTimes are when checks of a host that must pass were first seen to fail, and to pass again (Unix seconds); Passed is
// 0 while they fail.
type CheckTimes struct {
	Failed int64 `json:"failed"`
	Passed int64 `json:"passed,omitempty"`
}
