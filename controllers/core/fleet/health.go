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
