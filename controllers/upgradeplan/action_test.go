// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// The transaction that switches the version writes and deletes the action, and a pass corrects an action that was changed by hand.
func TestReconcile_WritesTheActionWithItsVersion(t *testing.T) {
	onBoth(t, func(f *fixture) {
		want := func(what string, action *fleet.Action, version string) {
			t.Helper()
			pair, current := f.get(f.layout.Action()), keys.DecodeCurrent(f.get(f.layout.CurrentVersion()))
			got := keys.DecodeAction(pair)
			switch {
			case current.Name != version || current.HasAction != (action != nil) || (got != nil) != (action != nil):
				t.Errorf("%s: %+v with %+v", what, current, got)
			case action != nil && (got.Name != action.Name || got.Version != action.Version || got.TimeoutSeconds != action.TimeoutSeconds):
				t.Errorf("%s: the action is %+v", what, got)
			case action != nil && what == "switched" && pair.ModifyIndex != current.Index:
				t.Errorf("%s: the action at %d, the version at %d", what, pair.ModifyIndex, current.Index)
			}
		}
		reboot := &fleet.Action{Version: "run-1", Name: "reboot", TimeoutSeconds: 600}
		f.set("current_version", "1")
		f.hosts(true, "1", names("web", 3)...)
		f.apply("version: run-1\naction: {type: Command, name: reboot, args: [now], timeout: 10m}\ninstructions: {rollingRules: {global: 2}}")
		f.reconcile()
		want("switched", reboot, "run-1")
		f.set(f.layout.Action(), `{"version":"run-1","name":"halt"}`)
		f.reconcile()
		want("changed by hand", reboot, "run-1")
		f.set(f.layout.CurrentVersion(), "run-1")
		f.reconcile()
		want("said no more by the version", reboot, "run-1")
		f.apply("version: '2'\ninstructions: {rollingRules: {global: 2}}")
		f.reconcile()
		want("switched", nil, "2")
	})
}
