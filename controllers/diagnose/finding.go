// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

// Level is how bad a finding is.
type Level string

// The levels. Unknown means that a fact could not be read.
const (
	OK      Level = "ok"
	Unknown Level = "unknown"
	Warning Level = "warning"
	Problem Level = "problem"
)

// Finding is the result of one check.
type Finding struct {
	Level Level `json:"level"`
	// Check is what was checked: consul, version, limits, acl, controllers, clocks, agents, hosts, keys.
	Check   string `json:"check"`
	Message string `json:"message"`
	// Action is what to do. It is empty if nothing is to be done.
	Action string `json:"action,omitempty"`
}

// Findings collects the results of checks.
type Findings []Finding

// Add adds a finding. The message is formatted.
func (f *Findings) Add(level Level, check, action, format string, args ...any) {
	*f = append(*f, Finding{Level: level, Check: check, Message: fmt.Sprintf(format, args...), Action: action})
}

// maxNames is how many names a message lists.
const maxNames = 3

// List joins names, the first ones alone if there are many.
func List(names []string) string { return wording.First(names, maxNames) }
