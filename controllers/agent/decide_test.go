// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	enableHost, enableRole, enableGlobal = "config_state/enable_puppet/host/web1", "config_state/enable_puppet/role/web",
		"config_state/enable_puppet/global"
	pauseHost, pauseRole, pauseGlobal = "config_state/host/web1/enable_puppet", "config_state/role/web/enable_puppet",
		"config_state/global/enable_puppet"
	holdHost, holdRole = "upgrade.jiocloud.com/holds/host/web1", "upgrade.jiocloud.com/holds/role/web"
	startedKey         = "upgrade.jiocloud.com/started/web1"
	reportKey          = "upgrade.jiocloud.com/hosts/web1"
	actionKey          = "upgrade.jiocloud.com/action"
)

// stored is a key in the store, with value and ModifyIndex. current_version is v2 at index 10.
type stored struct {
	key, value string
	index      uint64
}

// withAction sets the flag of current_version that says that the version has an action.
var withAction = stored{key: "with action"}

func TestDecide(t *testing.T) {
	const puppet, noPuppet = true, false
	marker := func(version, from, by string) string {
		return string(keys.EncodeStarted(fleet.Started{Version: version, From: from, By: by}))
	}
	report := func(version string, phase fleet.Phase) string {
		return string(keys.EncodeReport(fleet.Report{Version: version, Phase: phase}))
	}
	hold := func(expires time.Time) string {
		return string(keys.EncodeHold(fleet.Hold{Reason: "a broken fan", Expires: expires}))
	}
	act := func(version string) string {
		return string(keys.EncodeAction(fleet.Action{Version: version, Name: "reboot"}))
	}
	tests := []struct {
		name   string
		local  string // default v1; "none": no version
		store  []stored
		puppet bool
		change bool
		reason permission.Reason
		text   string // part of the message
	}{
		// current_version
		{"no current_version", "", []stored{{"current_version", "", 0}, {enableHost, "True", 20}}, puppet, false, permission.NoVersion, ""},
		{"current_version with a slash", "", []stored{{"current_version", "a/b", 10}, {enableHost, "True", 20}},
			puppet, false, permission.InvalidVersion, `"a/b"`},
		{"current_version is True", "", []stored{{"current_version", "True", 10}, {enableHost, "True", 20}},
			puppet, false, permission.InvalidVersion, "True"},
		{"current_version with a newline", "", []stored{{"current_version", "v2\n", 10}, {enableHost, "True", 20}},
			puppet, true, permission.Granted, ""},
		{"at the version", "v2", []stored{{enableHost, "True", 20}}, puppet, false, permission.AtVersion, "web1 is at v2"},
		{"at the version and disabled", "v2", []stored{{enableHost, "False", 20}}, noPuppet, false, permission.AtVersion, ""},

		// the lookup: the most specific key that is set decides
		{"no key", "", nil, puppet, false, permission.NotGranted, ""},
		{"host enabled, role and global disabled", "", []stored{{enableHost, "True", 20}, {enableRole, "False", 21}, {enableGlobal, "False", 22}},
			puppet, true, permission.Granted, "host web1"},
		{"host disabled, role and global enabled", "", []stored{{enableHost, "False", 20}, {enableRole, "True", 21}, {enableGlobal, "True", 22}},
			noPuppet, false, permission.Disabled, "host web1"},
		{"role enabled, global disabled", "", []stored{{enableRole, "True", 20}, {enableGlobal, "False", 21}}, puppet, true, permission.Granted, "role web"},
		{"role disabled, global enabled", "", []stored{{enableRole, "False", 20}, {enableGlobal, "True", 21}}, noPuppet, false, permission.Disabled, "role web"},
		{"global enabled", "", []stored{{enableGlobal, "True", 20}}, puppet, true, permission.Granted, "global"},
		{"another host's key", "", []stored{{"config_state/enable_puppet/host/web12", "True", 20}}, puppet, false, permission.NotGranted, ""},

		// the values
		{"1", "", []stored{{enableHost, "1", 20}}, puppet, true, permission.Granted, ""},
		{"0", "", []stored{{enableHost, "0", 20}}, noPuppet, false, permission.Disabled, ""},
		{"tRuE", "", []stored{{enableHost, "tRuE", 20}}, puppet, true, permission.Granted, ""},
		{"fAlSe", "", []stored{{enableHost, "fAlSe", 20}}, noPuppet, false, permission.Disabled, ""},
		{"the current version", "", []stored{{enableHost, "v2", 20}}, noPuppet, true, permission.Granted, ""},
		{"the local version", "", []stored{{enableHost, "v1", 20}}, puppet, false, permission.OtherVersion, "v1"},
		{"another version", "", []stored{{enableHost, "v3", 20}}, noPuppet, false, permission.OtherVersion, "v3"},
		{"invalid value", "", []stored{{enableHost, "\x00 yes!", 20}}, noPuppet, false, permission.InvalidValue, "must be True, False or a version"},
		{"empty value", "", []stored{{enableHost, "", 20}}, noPuppet, false, permission.InvalidValue, ""},

		// the grant must be newer than current_version
		{"older grant", "", []stored{{enableHost, "True", 9}}, puppet, false, permission.OldGrant, ""},
		{"grant of the same index", "", []stored{{enableHost, "True", 10}}, puppet, false, permission.OldGrant, ""},
		{"older grant of the version", "", []stored{{enableHost, "v2", 9}}, noPuppet, false, permission.OldGrant, ""},

		// first boot: the lookup is enough
		{"first boot, no key", "none", nil, puppet, true, permission.FirstBoot, ""},
		{"first boot, old grant", "none", []stored{{enableRole, "True", 5}}, puppet, true, permission.FirstBoot, ""},
		{"first boot, disabled", "none", []stored{{enableGlobal, "False", 20}}, noPuppet, false, permission.Disabled, ""},
		{"first boot, invalid value", "none", []stored{{enableGlobal, "?", 20}}, noPuppet, false, permission.InvalidValue, ""},
		{"first boot, no current_version", "none", []stored{{"current_version", "", 0}}, puppet, false, permission.NoVersion, ""},
		{"first boot, paused", "none", []stored{{pauseGlobal, "False", 3}}, noPuppet, false, permission.Paused, ""},
		{"first boot, on hold", "none", []stored{{holdRole, hold(time.Time{}), 3}}, puppet, false, permission.OnHold, ""},

		// pauses: the most specific key that is set decides
		{"host paused", "", []stored{{enableHost, "True", 20}, {pauseHost, "False", 3}}, noPuppet, false, permission.Paused, "host web1"},
		{"role paused", "", []stored{{enableHost, "True", 20}, {pauseRole, "False", 3}}, noPuppet, false, permission.Paused, "role web"},
		{"fleet paused", "", []stored{{enableHost, "True", 20}, {pauseGlobal, "False", 3}}, noPuppet, false, permission.Paused, "global"},
		{"host unpaused in a paused role", "", []stored{{enableHost, "True", 20}, {pauseHost, "True", 3}, {pauseRole, "False", 4}},
			puppet, true, permission.Granted, ""},
		{"role unpaused in a paused fleet", "", []stored{{enableHost, "True", 20}, {pauseRole, "true", 3}, {pauseGlobal, "False", 4}},
			puppet, true, permission.Granted, ""},
		{"host paused in an unpaused role", "", []stored{{enableHost, "True", 20}, {pauseHost, "False", 3}, {pauseRole, "True", 4}},
			noPuppet, false, permission.Paused, "host web1"},
		{"invalid pause value", "", []stored{{enableHost, "True", 20}, {pauseRole, "hm", 3}}, noPuppet, false, permission.Paused, ""},

		// holds
		{"hold on the host", "", []stored{{enableHost, "True", 20}, {holdHost, hold(time.Time{}), 3}}, puppet, false, permission.OnHold, "host web1 is on hold: a broken fan"},
		{"hold on the role", "", []stored{{enableHost, "True", 20}, {holdRole, hold(noon.Add(1)), 3}}, puppet, false, permission.OnHold, "role web"},
		{"hold that expires now", "", []stored{{enableHost, "True", 20}, {holdHost, hold(noon), 3}}, puppet, true, permission.Granted, ""},
		{"hold on the host expired, hold on the role not", "", []stored{{enableHost, "True", 20}, {holdHost, hold(noon), 3},
			{holdRole, hold(time.Time{}), 3}}, puppet, false, permission.OnHold, "role web"},
		{"unreadable hold", "", []stored{{enableHost, "True", 20}, {holdHost, "{", 3}}, puppet, false, permission.OnHold, ""},

		// actions
		{"action", "", []stored{withAction, {actionKey, act("v2"), 10}, {enableHost, "True", 20}}, puppet, true, permission.Granted, ""},
		{"action without a grant", "", []stored{withAction, {actionKey, act("v2"), 10}, {enableHost, "False", 20}}, noPuppet, false, permission.Disabled, ""},
		{"action key missing", "", []stored{withAction, {enableHost, "True", 20}}, puppet, false, permission.ActionUnclear, "disagree about v2"},
		{"action of another version", "", []stored{withAction, {actionKey, act("v1"), 5}, {enableHost, "True", 20}}, puppet, false, permission.ActionUnclear, ""},
		{"unreadable action", "", []stored{withAction, {actionKey, "{", 10}, {enableHost, "True", 20}}, puppet, false, permission.ActionUnclear, ""},
		{"action key without the flag of the version", "", []stored{{actionKey, act("v2"), 30}, {enableHost, "True", 20}}, puppet, false, permission.ActionUnclear, ""},
		{"action of an earlier version", "", []stored{{actionKey, act("v1"), 5}, {enableHost, "True", 20}}, puppet, true, permission.Granted, ""},
		{"first boot with an action", "none", []stored{withAction, {actionKey, act("v2"), 10}}, puppet, false, permission.NoVersionYet, "command reboot does not install one"},
		{"interrupted, action key missing", "", []stored{withAction, {enableHost, "True", 20}, {startedKey, marker("v2", "v1", ""), 30}},
			puppet, false, permission.ActionUnclear, ""},
		{"interrupted in an action", "", []stored{withAction, {actionKey, act("v2"), 10}, {enableHost, "True", 20},
			{startedKey, marker("v2", "v1", ""), 30}}, puppet, true, permission.Resuming, ""},

		// a host that has started may finish, unless the lookup disables it or it is paused
		{"interrupted", "", []stored{{enableHost, "True", 20}, {startedKey, marker("v2", "v1", ""), 30}}, puppet, true, permission.Resuming, ""},
		{"interrupted, then put on hold", "", []stored{{enableHost, "True", 20}, {startedKey, marker("v2", "v1", ""), 30},
			{holdHost, hold(time.Time{}), 31}}, puppet, true, permission.Resuming, ""},
		{"interrupted, then all keys deleted", "", []stored{{startedKey, marker("v2", "v1", ""), 30}}, puppet, true, permission.Resuming, ""},
		{"interrupted, then aborted", "", []stored{{enableHost, "False", 31}, {startedKey, marker("v2", "v1", ""), 30}},
			noPuppet, false, permission.Disabled, ""},
		{"interrupted, then paused", "", []stored{{enableHost, "True", 20}, {startedKey, marker("v2", "v1", ""), 30},
			{pauseHost, "False", 31}}, noPuppet, false, permission.Paused, ""},
		{"interrupted, marker lost", "", []stored{{reportKey, report("v2", fleet.PhaseUpgrading), 30}}, puppet, true, permission.Resuming, ""},
		{"interrupted during a change to another version", "", []stored{{enableGlobal, "False", 10}, {startedKey, marker("v3", "v1", ""), 8}},
			noPuppet, false, permission.Disabled, ""},
		{"interrupted during a change to another version, then granted", "", []stored{{enableHost, "True", 20},
			{startedKey, marker("v3", "v1", ""), 8}}, puppet, true, permission.Granted, ""},
		{"marker of the controller", "", []stored{{enableGlobal, "True", 5}, {startedKey, marker("v2", "", "controller"), 30}},
			puppet, false, permission.OldGrant, ""},
		{"failed, granted", "", []stored{{enableHost, "True", 20}, {startedKey, marker("v2", "v1", ""), 30},
			{reportKey, report("v2", fleet.PhaseFailed), 31}}, puppet, true, permission.Granted, ""},
		{"failed, then put on hold", "", []stored{{enableHost, "True", 20}, {startedKey, marker("v2", "v1", ""), 30},
			{reportKey, report("v2", fleet.PhaseFailed), 31}, {holdHost, hold(time.Time{}), 32}}, puppet, false, permission.OnHold, ""},
		{"failed, grant older than the version", "", []stored{{enableHost, "True", 5}, {startedKey, marker("v2", "v1", ""), 6},
			{reportKey, report("v2", fleet.PhaseFailed), 7}}, puppet, false, permission.OldGrant, ""},
		{"rollback to the version that it left, granted", "v2", []stored{{enableHost, "True", 20},
			{startedKey, marker("v3", "v2", ""), 8}, {reportKey, report("v3", fleet.PhaseFailed), 9}}, puppet, true, permission.Granted, ""},
		{"rollback to the version that it left, no grant", "v2", []stored{{enableGlobal, "False", 10}, {startedKey, marker("v3", "v2", ""), 8}},
			noPuppet, false, permission.Disabled, ""},
		{"interrupted during a rollback", "v2", []stored{{enableHost, "True", 20}, {startedKey, marker("v2", "v2", ""), 30},
			{reportKey, report("v2", fleet.PhaseUpgrading), 30}}, puppet, true, permission.Resuming, ""},
		{"interrupted before the report", "v2", []stored{{enableHost, "True", 20}, {startedKey, marker("v2", "v1", ""), 30},
			{reportKey, report("v2", fleet.PhaseUpgrading), 30}}, puppet, false, permission.AtVersion, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := observed(tt.local, tt.store)
			v := Decide(o)
			if v.Puppet.Allowed != tt.puppet {
				t.Errorf("Puppet allowed: %v, want %v (%s)", v.Puppet.Allowed, tt.puppet, v.Puppet.Message)
			}
			if v.Change.Allowed != tt.change || v.Change.Reason != tt.reason {
				t.Errorf("change allowed: %v %s, want %v %s (%s)", v.Change.Allowed, v.Change.Reason, tt.change, tt.reason,
					v.Change.Message)
			}
			if v.Change.Message == "" || v.Puppet.Message == "" || !strings.Contains(v.Change.Message, tt.text) {
				t.Errorf("messages %q and %q, want %q in the first", v.Change.Message, v.Puppet.Message, tt.text)
			}
		})
	}
}

func observed(local string, pairs []stored) Observation {
	switch local {
	case "":
		local = "v1"
	case "none":
		local = ""
	}
	read := map[string]keys.Pair{"current_version": {Key: "current_version", Value: []byte("v2"), ModifyIndex: 10}}
	for _, f := range pairs {
		if f == withAction {
			current := read["current_version"]
			current.Flags = 0x616374
			read["current_version"] = current
			continue
		}
		read[f.key] = keys.Pair{Key: f.key, Value: []byte(f.value), ModifyIndex: f.index}
	}
	return newObservation(keys.Layout{}, "web1", "web", local, read, noon)
}

func TestDecide_WithoutARole(t *testing.T) {
	read := map[string]keys.Pair{
		"current_version":           {Value: []byte("v2"), ModifyIndex: 10},
		enableRole:                  {Value: []byte("True"), ModifyIndex: 20},
		enableGlobal:                {Value: []byte("False"), ModifyIndex: 11},
		"config_state/global/other": {Value: []byte("False"), ModifyIndex: 11},
	}
	if v := Decide(newObservation(keys.Layout{}, "gateway", "", "v1", read, noon)); v.Change.Reason != permission.Disabled {
		t.Errorf("got %+v", v.Change)
	}
}
