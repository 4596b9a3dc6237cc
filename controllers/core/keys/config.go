// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import "github.com/jiocloud/upgrade-controller/controllers/core/fleet"

// The trees of the settings that jorc writes for hosts, by scope: <tree>/{global,role/<role>,host/<host>}/<key>.
const (
	ConfigState   = "config_state"
	ConfigVersion = "config_version"
)

// PauseName is the setting below ConfigState that pauses its scope.
const PauseName = "enable_puppet"

// Config returns the prefix of the settings of a scope in one of these trees. A place of scope global has no name.
func (l Layout) Config(tree string, at fleet.Place) string {
	if at.Scope == fleet.ScopeGlobal {
		return l.key(tree + "/" + at.Scope.String() + "/")
	}
	return l.key(tree + "/" + at.String() + "/")
}
