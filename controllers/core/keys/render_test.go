// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// A second switch finds global at False. It deletes the tree, so it must write global again: without any key all legacy
// hosts would be enabled for the new version.
func TestChanges_SwitchWritesGlobalFalse(t *testing.T) {
	for _, before := range []string{"", "False", "True", "false"} {
		var l keys.Layout
		raw := keys.Snapshot{Current: keys.Pair{Key: l.CurrentVersion(), Value: []byte("v1"), ModifyIndex: 1, CreateIndex: 1}}
		if before != "" {
			raw.Config = append(raw.Config, keys.Pair{Key: l.EnableGlobal(), Value: []byte(before), ModifyIndex: 2})
		}
		raw.Config = append(raw.Config,
			keys.Pair{Key: l.EnableHost("web1"), Value: []byte("True"), ModifyIndex: 3},
			keys.Pair{Key: l.EnableTree() + "of/no/scope", Value: []byte("True"), ModifyIndex: 3},
			keys.Pair{Key: l.PauseHost("web1"), Value: []byte("False"), ModifyIndex: 3})
		c := l.Changes(keys.Actual(raw, l), fleet.Desired{Version: "v2", Switch: true})
		after := keys.Apply(raw, l, c, 9)
		var left []string
		for _, p := range after.Config {
			left = append(left, p.Key+"="+string(p.Value))
		}
		if len(left) != 2 || left[0] != "config_state/enable_puppet/global=False" || left[1] != l.PauseHost("web1")+"=False" {
			t.Errorf("global was %q: after the switch got %q", before, left)
		}
		if got := string(after.Current.Value); got != "v2" || after.Current.ModifyIndex != 9 {
			t.Errorf("current_version is %s at index %d", got, after.Current.ModifyIndex)
		}
	}
}
