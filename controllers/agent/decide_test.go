// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
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

// fake is what stands in the store: key, value and ModifyIndex. current_version is v2 at index 10.
type fake struct {
	key, value string
	index      uint64
}

// acting stands for a current_version that says that an action goes with it.
var acting = fake{key: "acting"}

func TestDecide(t *testing.T) {
	const (
		yesP, noP = true, false
	)
	mark := func(version, from, by string) string {
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
		store  []fake
		puppet bool
		change bool
		reason Reason
		says   string // part of the sentence
	}{
		// current_version
		{"no current_version", "", []fake{{"current_version", "", 0}, {enableHost, "True", 20}}, yesP, false, NoVersion, ""},
		{"current_version that no key can hold", "", []fake{{"current_version", "a/b", 10}, {enableHost, "True", 20}},
			yesP, false, InvalidVersion, `"a/b"`},
		{"current_version that reads as a yes", "", []fake{{"current_version", "True", 10}, {enableHost, "True", 20}},
			yesP, false, InvalidVersion, "True"},
		{"current_version with a line end", "", []fake{{"current_version", "v2\n", 10}, {enableHost, "True", 20}},
			yesP, true, Granted, ""},
		{"at the version", "v2", []fake{{enableHost, "True", 20}}, yesP, false, AtVersion, "web1 has v2"},
		{"at the version and disabled", "v2", []fake{{enableHost, "False", 20}}, noP, false, AtVersion, ""},

		// the lookup: the first that is set wins
		{"none set", "", nil, yesP, false, NotGranted, ""},
		{"host wins over role and global", "", []fake{{enableHost, "True", 20}, {enableRole, "False", 21}, {enableGlobal, "False", 22}},
			yesP, true, Granted, "host web1"},
		{"host says no over role and global", "", []fake{{enableHost, "False", 20}, {enableRole, "True", 21}, {enableGlobal, "True", 22}},
			noP, false, Disabled, "host web1"},
		{"role wins over global", "", []fake{{enableRole, "True", 20}, {enableGlobal, "False", 21}}, yesP, true, Granted, "role web"},
		{"role says no over global", "", []fake{{enableRole, "False", 20}, {enableGlobal, "True", 21}}, noP, false, Disabled, "role web"},
		{"global alone", "", []fake{{enableGlobal, "True", 20}}, yesP, true, Granted, "global"},
		{"another host's key", "", []fake{{"config_state/enable_puppet/host/web12", "True", 20}}, yesP, false, NotGranted, ""},

		// the values
		{"1", "", []fake{{enableHost, "1", 20}}, yesP, true, Granted, ""},
		{"0", "", []fake{{enableHost, "0", 20}}, noP, false, Disabled, ""},
		{"tRuE", "", []fake{{enableHost, "tRuE", 20}}, yesP, true, Granted, ""},
		{"fAlSe", "", []fake{{enableHost, "fAlSe", 20}}, noP, false, Disabled, ""},
		{"the version's own name", "", []fake{{enableHost, "v2", 20}}, noP, true, Granted, ""},
		{"the name of the version that it has", "", []fake{{enableHost, "v1", 20}}, yesP, false, OtherVersion, "v1"},
		{"the name of another version", "", []fake{{enableHost, "v3", 20}}, noP, false, OtherVersion, "v3"},
		{"rubbish", "", []fake{{enableHost, "\x00 yes!", 20}}, noP, false, InvalidValue, "none of"},
		{"empty value", "", []fake{{enableHost, "", 20}}, noP, false, InvalidValue, ""},

		// the grant must be newer than current_version
		{"older grant", "", []fake{{enableHost, "True", 9}}, yesP, false, OldGrant, ""},
		{"grant of the same index", "", []fake{{enableHost, "True", 10}}, yesP, false, OldGrant, ""},
		{"older version's own name", "", []fake{{enableHost, "v2", 9}}, noP, false, OldGrant, ""},

		// first boot: the lookup suffices
		{"first boot, none set", "none", nil, yesP, true, FirstBoot, ""},
		{"first boot, old grant", "none", []fake{{enableRole, "True", 5}}, yesP, true, FirstBoot, ""},
		{"first boot, disabled", "none", []fake{{enableGlobal, "False", 20}}, noP, false, Disabled, ""},
		{"first boot, rubbish", "none", []fake{{enableGlobal, "?", 20}}, noP, false, InvalidValue, ""},
		{"first boot, no current_version", "none", []fake{{"current_version", "", 0}}, yesP, false, NoVersion, ""},
		{"first boot, paused", "none", []fake{{pauseGlobal, "False", 3}}, noP, false, Paused, ""},
		{"first boot, held", "none", []fake{{holdRole, hold(time.Time{}), 3}}, yesP, false, Held, ""},

		// pauses: the most specific key that is set decides
		{"host paused", "", []fake{{enableHost, "True", 20}, {pauseHost, "False", 3}}, noP, false, Paused, "host web1"},
		{"role paused", "", []fake{{enableHost, "True", 20}, {pauseRole, "False", 3}}, noP, false, Paused, "role web"},
		{"fleet paused", "", []fake{{enableHost, "True", 20}, {pauseGlobal, "False", 3}}, noP, false, Paused, "global"},
		{"host let through a paused role", "", []fake{{enableHost, "True", 20}, {pauseHost, "True", 3}, {pauseRole, "False", 4}},
			yesP, true, Granted, ""},
		{"role let through a paused fleet", "", []fake{{enableHost, "True", 20}, {pauseRole, "true", 3}, {pauseGlobal, "False", 4}},
			yesP, true, Granted, ""},
		{"host paused in a role let through", "", []fake{{enableHost, "True", 20}, {pauseHost, "False", 3}, {pauseRole, "True", 4}},
			noP, false, Paused, "host web1"},
		{"rubbish pauses", "", []fake{{enableHost, "True", 20}, {pauseRole, "hm", 3}}, noP, false, Paused, ""},

		// holds
		{"host held", "", []fake{{enableHost, "True", 20}, {holdHost, hold(time.Time{}), 3}}, yesP, false, Held, "host web1 keeps it where it is: a broken fan"},
		{"role held", "", []fake{{enableHost, "True", 20}, {holdRole, hold(noon.Add(1)), 3}}, yesP, false, Held, "role web"},
		{"hold that expires now", "", []fake{{enableHost, "True", 20}, {holdHost, hold(noon), 3}}, yesP, true, Granted, ""},
		{"expired on the host, not on the role", "", []fake{{enableHost, "True", 20}, {holdHost, hold(noon), 3},
			{holdRole, hold(time.Time{}), 3}}, yesP, false, Held, "role web"},
		{"hold that cannot be read", "", []fake{{enableHost, "True", 20}, {holdHost, "{", 3}}, yesP, false, Held, ""},

		// an action goes with its version
		{"an action", "", []fake{acting, {actionKey, act("v2"), 10}, {enableHost, "True", 20}}, yesP, true, Granted, ""},
		{"an action, ungranted", "", []fake{acting, {actionKey, act("v2"), 10}, {enableHost, "False", 20}}, noP, false, Disabled, ""},
		{"an action that is gone", "", []fake{acting, {enableHost, "True", 20}}, yesP, false, ActionUnclear, "do not say the same of v2"},
		{"an action of another version", "", []fake{acting, {actionKey, act("v1"), 5}, {enableHost, "True", 20}}, yesP, false, ActionUnclear, ""},
		{"an action that cannot be read", "", []fake{acting, {actionKey, "{", 10}, {enableHost, "True", 20}}, yesP, false, ActionUnclear, ""},
		{"an action that somebody slipped in", "", []fake{{actionKey, act("v2"), 30}, {enableHost, "True", 20}}, yesP, false, ActionUnclear, ""},
		{"an action of a version that is over", "", []fake{{actionKey, act("v1"), 5}, {enableHost, "True", 20}}, yesP, true, Granted, ""},
		{"first boot, and an action", "none", []fake{acting, {actionKey, act("v2"), 10}}, yesP, false, NoVersionYet, "command reboot brings none"},
		{"interrupted, and the action is gone", "", []fake{acting, {enableHost, "True", 20}, {startedKey, mark("v2", "v1", ""), 30}},
			yesP, false, ActionUnclear, ""},
		{"interrupted in an action", "", []fake{acting, {actionKey, act("v2"), 10}, {enableHost, "True", 20},
			{startedKey, mark("v2", "v1", ""), 30}}, yesP, true, Resuming, ""},

		// a host that has begun finishes, but for the lookup and the pauses
		{"interrupted", "", []fake{{enableHost, "True", 20}, {startedKey, mark("v2", "v1", ""), 30}}, yesP, true, Resuming, ""},
		{"interrupted, and held since", "", []fake{{enableHost, "True", 20}, {startedKey, mark("v2", "v1", ""), 30},
			{holdHost, hold(time.Time{}), 31}}, yesP, true, Resuming, ""},
		{"interrupted, and the tree was wiped", "", []fake{{startedKey, mark("v2", "v1", ""), 30}}, yesP, true, Resuming, ""},
		{"interrupted, and aborted since", "", []fake{{enableHost, "False", 31}, {startedKey, mark("v2", "v1", ""), 30}},
			noP, false, Disabled, ""},
		{"interrupted, and paused by key since", "", []fake{{enableHost, "True", 20}, {startedKey, mark("v2", "v1", ""), 30},
			{pauseHost, "False", 31}}, noP, false, Paused, ""},
		{"interrupted, mark lost", "", []fake{{reportKey, report("v2", fleet.PhaseUpgrading), 30}}, yesP, true, Resuming, ""},
		{"interrupted on the way to another version", "", []fake{{enableGlobal, "False", 10}, {startedKey, mark("v3", "v1", ""), 8}},
			noP, false, Disabled, ""},
		{"interrupted on the way to another version, and granted", "", []fake{{enableHost, "True", 20},
			{startedKey, mark("v3", "v1", ""), 8}}, yesP, true, Granted, ""},
		{"the controller's mark is not the host's", "", []fake{{enableGlobal, "True", 5}, {startedKey, mark("v2", "", "controller"), 30}},
			yesP, false, OldGrant, ""},
		{"failed, and granted still", "", []fake{{enableHost, "True", 20}, {startedKey, mark("v2", "v1", ""), 30},
			{reportKey, report("v2", fleet.PhaseFailed), 31}}, yesP, true, Granted, ""},
		{"failed, and held since", "", []fake{{enableHost, "True", 20}, {startedKey, mark("v2", "v1", ""), 30},
			{reportKey, report("v2", fleet.PhaseFailed), 31}, {holdHost, hold(time.Time{}), 32}}, yesP, false, Held, ""},
		{"failed, and the version came back", "", []fake{{enableHost, "True", 5}, {startedKey, mark("v2", "v1", ""), 6},
			{reportKey, report("v2", fleet.PhaseFailed), 7}}, yesP, false, OldGrant, ""},
		{"back at the version that it left, which it must reach anew", "v2", []fake{{enableHost, "True", 20},
			{startedKey, mark("v3", "v2", ""), 8}, {reportKey, report("v3", fleet.PhaseFailed), 9}}, yesP, true, Granted, ""},
		{"the same, ungranted", "v2", []fake{{enableGlobal, "False", 10}, {startedKey, mark("v3", "v2", ""), 8}},
			noP, false, Disabled, ""},
		{"interrupted on the way back", "v2", []fake{{enableHost, "True", 20}, {startedKey, mark("v2", "v2", ""), 30},
			{reportKey, report("v2", fleet.PhaseUpgrading), 30}}, yesP, true, Resuming, ""},
		{"interrupted before the report", "v2", []fake{{enableHost, "True", 20}, {startedKey, mark("v2", "v1", ""), 30},
			{reportKey, report("v2", fleet.PhaseUpgrading), 30}}, yesP, false, AtVersion, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := observed(tt.local, tt.store)
			v := Decide(o)
			if v.Puppet.Allowed != tt.puppet {
				t.Errorf("may Puppet run: %v, want %v (%s)", v.Puppet.Allowed, tt.puppet, v.Puppet.Message)
			}
			if v.Change.Allowed != tt.change || v.Change.Reason != tt.reason {
				t.Errorf("may it change: %v %s, want %v %s (%s)", v.Change.Allowed, v.Change.Reason, tt.change, tt.reason,
					v.Change.Message)
			}
			if v.Change.Message == "" || v.Puppet.Message == "" || !strings.Contains(v.Change.Message, tt.says) {
				t.Errorf("sentences %q and %q, want %q in the first", v.Change.Message, v.Puppet.Message, tt.says)
			}
		})
	}
}

func observed(local string, stands []fake) Observation {
	switch local {
	case "":
		local = "v1"
	case "none":
		local = ""
	}
	read := map[string]keys.Pair{"current_version": {Key: "current_version", Value: []byte("v2"), ModifyIndex: 10}}
	for _, f := range stands {
		if f == acting {
			current := read["current_version"]
			current.Flags = keys.ActionFlags
			read["current_version"] = current
			continue
		}
		read[f.key] = keys.Pair{Key: f.key, Value: []byte(f.value), ModifyIndex: f.index}
	}
	return observe(keys.Layout{}, "web1", "web", local, read, noon)
}

func TestAHostWithoutARoleLooksUpHostAndGlobalOnly(t *testing.T) {
	read := map[string]keys.Pair{
		"current_version":           {Value: []byte("v2"), ModifyIndex: 10},
		enableRole:                  {Value: []byte("True"), ModifyIndex: 20},
		enableGlobal:                {Value: []byte("False"), ModifyIndex: 11},
		"config_state/global/other": {Value: []byte("False"), ModifyIndex: 11},
	}
	if v := Decide(observe(keys.Layout{}, "gateway", "", "v1", read, noon)); v.Change.Reason != Disabled {
		t.Errorf("got %+v", v.Change)
	}
}
