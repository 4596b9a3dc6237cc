// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

const reboot = "action: {type: Command, name: reboot, args: [now], timeout: 90s}\n"

// A command is run by the very same rules as an upgrade.
func TestActionsAreGrantedAsUpgradesAre(t *testing.T) {
	stands := "acts\naction v2 reboot\n"
	check(t, []example{{
		name:  "the switch brings the action in its transaction",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v1 web1\nagent web1",
		spec:  reboot,
		want: `web1 Upgraded AtVersion
			gate VersionSwitch
			delete the tree
			+action = {"version":"v2","name":"reboot","args":["now"],"timeoutSeconds":90}
			+global = False (rewritten)
			+current_version = v2`,
	}, {
		name:  "the switch to a plan without one takes it away",
		fleet: "bare\ncurrent v1\nacts\naction v1 reboot\nkey global False\nrecord v1 web1\nagent web1",
		want: `web1 Upgraded AtVersion
			gate VersionSwitch
			delete the tree
			+global = False (rewritten)
			+current_version = v2
			-action`,
	}, {
		name:  "limits hold, and the role's key is never written: who joins cannot run a command",
		fleet: stands + "record v1 web1..3\nagent web1..3",
		spec:  reboot + "instructions: {rollingRules: {global: 2}}",
		want: `web1..2 Upgrading Starting
			web3 Pending NoFreeSlot
			+action = {"version":"v2","name":"reboot","args":["now"],"timeoutSeconds":90}
			+host/web1 = True
			+host/web2 = True`,
	}, {
		name:  "without a limit neither",
		fleet: stands + "record v1 web1\nagent web1",
		spec:  "action: {type: Command, name: reboot}",
		want:  "web1 Upgrading Starting\n+host/web1 = True",
	}, {
		name:  "who was never seen as an agent is never released, nor who has no version",
		fleet: stands + "record v1 web1..2\nagent web1\nreport web3 Idle \"\" -1h",
		spec:  reboot,
		want: `web1 Upgrading Starting
			web2 Pending CannotAct: =it was never seen as an agent, and only agents run command reboot; it is never granted for that
			web3 Pending CannotAct: it has no version yet, which must come before command reboot`,
	}, {
		name:  "one that may have begun something else keeps its slot",
		fleet: stands + "record v1 web1..2\nagent web2\nmarked web1 v1 -5m",
		spec:  reboot + "instructions: {rollingRules: {global: 1}}",
		want:  "web1 Pending CannotAct: (it may have started, and keeps its slot until it reports)\nweb2 Pending NoFreeSlot",
	}, {
		name:  "a deleted action is written again before a host starts by it",
		fleet: "acts\nrecord v1 web1\nagent web1",
		spec:  "action: {type: Command, name: reboot}",
		want:  "web1 Upgrading Starting\n+action = {\"version\":\"v2\",\"name\":\"reboot\"}\n+host/web1 = True",
	}, {
		name:  "a changed action is corrected",
		fleet: "acts\naction v2 halt\nrecord v2 web1\nagent web1\nkey host/web1 True -1h",
		spec:  "action: {type: Command, name: reboot}",
		want:  "web1 Upgraded AtVersion\n+action = {\"version\":\"v2\",\"name\":\"reboot\"}",
	}, {
		name:  "an action of another writer is deleted",
		fleet: "action v2 halt\nrecord v2 web1\nagent web1\nknows web1\nkey host/web1 True -1h\nkey role/web True -1h",
		want:  "web1 Upgraded AtVersion\n-action",
	}, {
		name:  "a current_version that was set by hand says so again",
		fleet: "action v2 reboot\nrecord v2 web1\nagent web1\nkey host/web1 True -1h",
		spec:  "action: {type: Command, name: reboot}",
		want:  "web1 Upgraded AtVersion\ngate VersionSwitch\ndelete the tree\n+global = False (rewritten)\n+current_version = v2 (rewritten)\n-host/web1",
	}, {
		name:  "what stands is left alone while the version cannot be switched",
		fleet: "bare\ncurrent v1\nacts\naction v1 halt\nkey global no\nrecord v1 web1\nagent web1\ncheck web1 disk critical",
		spec:  reboot + "healthGate: {maxUnhealthy: 0}",
		want:  "web1 Upgraded AtVersion\ngate TooManyUnhealthy\n+host/web1 = True\n+global = False",
	}})
}

func TestRollbackNeverRepeatsACommand(t *testing.T) {
	w := newWorld(t, "acts\naction v2 reboot\nrecord v2 web1\nagent web1\nkey host/web1 True -1h", "action: {type: Command, name: reboot}")
	w.plan.Generation, w.raw.Ledger.Completed = 7, 3
	if d := w.decide(); !d.Complete || d.Ledger.Completed != 3 {
		t.Errorf("complete %v, the revision to go back to is %d", d.Complete, d.Ledger.Completed)
	}
}

// A key with the name of a version enables nothing else, for those who understand it.
func TestVersionKeys(t *testing.T) {
	named := "keys: {format: Version}\ninstructions: {rollingRules: {global: 1}}"
	check(t, []example{{
		name:  "agents",
		fleet: "record v1 web1..2\nagent web1..2",
		spec:  named,
		want:  "web1 Upgrading Starting\nweb2 Pending NoFreeSlot\n+host/web1 = v2",
	}, {
		name:  "a key that says True is rewritten, and its host is not granted a second time",
		fleet: "record v1 web1..2\nagent web1..2\nkey host/web1 True -5m",
		spec:  named,
		want:  "web1 Upgrading Granted\nweb2 Pending NoFreeSlot\n+host/web1 = v2",
	}, {
		name:  "a legacy host stops every start, and all is spelled so that it understands",
		fleet: "record v1 web1..3\nagent web1..2\nkey host/web1 v2 -5m",
		spec:  named,
		want: `web1 Upgrading Granted
			web2..3 Pending VersionKeysRefused: =spec.keys.format is Version, and 1 of 3 hosts were never seen as agents (web3): legacy hosts read any value but False as True
			gate VersionKeysRefused
			+host/web1 = True`,
	}, {
		name:  "not before the switch either",
		fleet: "bare\ncurrent v1\nkey global False\nrecord v1 web1",
		spec:  named,
		want:  "web1 Upgraded AtVersion\ngate VersionKeysRefused",
	}, {
		name:  "one that does not count does not matter",
		fleet: "record v1 web1..2\nagent web1",
		spec:  named + "\nhosts: {exclude: [web2]}",
		want:  "web1 Upgrading Starting\nweb2 Exempt Excluded\n+host/web1 = v2",
	}, {
		name:  "and back",
		fleet: "record v1 web1\nagent web1\nkey host/web1 v2 -5m",
		spec:  "instructions: {rollingRules: {global: 1}}",
		want:  "web1 Upgrading Granted\n+host/web1 = True",
	}})
}

// The format may change at any moment: written one by one, no key makes a start, and none takes one back.
func TestKeyFormatCanChangeDuringARollout(t *testing.T) {
	w := newWorld(t, "record v1 web1..9\nagent web1..9", "instructions: {rollingRules: {global: 4}}")
	w.settle()
	for _, format := range []v1alpha1.KeyFormat{v1alpha1.VersionKeys, v1alpha1.BooleanKeys} {
		w.plan.Spec.Keys.Format = format
		before, d := w.busy(), w.decide()
		changes := w.changes(d)
		if len(changes.List) != 4 || d.Starts() != 0 {
			t.Errorf("%s: %d starts by\n%s", format, d.Starts(), shortly(changes))
		}
		for _, step := range prefixes(changes) {
			w.index++
			w.raw = keys.Apply(w.raw, w.layout, step, w.index)
			if after := w.busy(); len(starts(before, after))+len(starts(after, before)) > 0 {
				t.Errorf("%s: %s makes %v of %v", format, strings.TrimSpace(shortly(step)), after, before)
			}
		}
		for _, v := range w.settle().Verdicts[:4] {
			if v.Reason != v1alpha1.ReasonGranted {
				t.Errorf("%s: %+v", format, v)
			}
		}
	}
}
