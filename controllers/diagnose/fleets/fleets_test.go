// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleets_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/diagnose"
	"github.com/jiocloud/upgrade-controller/controllers/diagnose/fleets"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

// lines returns findings as text, without those of the level ok.
func lines(found []diagnose.Finding) string {
	var all []string
	for _, f := range found {
		if f.Level != diagnose.OK {
			all = append(all, fmt.Sprintf("%s %s: %s", f.Level, f.Check, f.Message))
		}
	}
	return strings.Join(all, "\n")
}

func running(name, version string, leading bool) leaderelection.Controller {
	return leaderelection.Controller{Registration: leaderelection.Registration{Name: "upgrade-controller on " + name, Version: version},
		Leading: leading}
}

func TestCheckControllers(t *testing.T) {
	for name, tt := range map[string]struct {
		facts fleets.Controllers
		want  string
	}{
		"leader": {fleets.Controllers{Running: []leaderelection.Controller{running("a", "v0.2.0", true)}, Plans: 1}, ""},
		"leader of an earlier release": {fleets.Controllers{Running: []leaderelection.Controller{running("a", "", true),
			running("b", "v0.2.0", false)}}, ""},
		"several versions": {fleets.Controllers{Running: []leaderelection.Controller{running("a", "v0.10.0", true), running("b", "v0.9.0", false)}},
			"warning controllers: controllers have several versions: v0.9.0, v0.10.0"},
		"standbys alone": {fleets.Controllers{Running: []leaderelection.Controller{running("a", "v1", false), running("b", "v1", false)}},
			"warning controllers: no controller leads; a, b stand by"},
		"command": {fleets.Controllers{Lock: &leaderelection.LockHeldError{Kind: leaderelection.KindCLI, Holder: "alice@desk"}, Plans: 1},
			"warning controllers: a command leads: alice@desk"},
		"unknown holder":   {fleets.Controllers{Lock: &leaderelection.LockHeldError{}}, "warning controllers: an unknown process leads"},
		"none":             {fleets.Controllers{}, "warning controllers: no controller is running"},
		"none, and a plan": {fleets.Controllers{Plans: 1}, "problem controllers: no controller is running: nothing carries out 1 plan"},
		"cannot be read":   {fleets.Controllers{Err: &store.ForbiddenError{Key: "k", Policy: "p", Err: fmt.Errorf("no")}, Running: []leaderelection.Controller{running("a", "", true)}}, "unknown controllers: the controllers cannot be read: permission denied on k: the token needs p (no)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lines(fleets.CheckControllers(&tt.facts)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func agentAt(name, version string) fleet.Host {
	return fleet.Host{Name: name, Report: &fleet.Report{Schema: 2, AgentVersion: version}}
}

func TestCheckFleet(t *testing.T) {
	one := []fleet.Host{{Name: "web1"}}
	for name, tt := range map[string]struct {
		hosts    []fleet.Host
		verdicts []rollout.Verdict
		notes    []string
		lacks    string
		err      error
		want     string
	}{
		"fine":              {hosts: []fleet.Host{agentAt("web1", "v0.4.0"), agentAt("web2", "v0.2.0"), {Name: "web3"}}},
		"too far":           {hosts: []fleet.Host{agentAt("web1", "v0.1.9"), agentAt("web2", "v1.3.0")}, want: "warning agents: plan fleet: 2 hosts with an agent more than one minor version away from a controller: web1 v0.1.9, web2 v1.3.0"},
		"built from source": {hosts: []fleet.Host{agentAt("web1", "(devel)")}},
		"no hosts":          {want: "warning hosts: plan fleet: no host has reported or recorded a version"},
		"clocks": {hosts: one, verdicts: []rollout.Verdict{{Host: "web1", ClockOffset: 2 * time.Hour}, {Host: "web2", ClockOffset: -3 * time.Minute}},
			want: "warning clocks: plan fleet: the clocks of 2 hosts are more than a minute off: web1 120m ahead, web2 3m behind"},
		"too old": {hosts: one, verdicts: []rollout.Verdict{{Host: "web1", Reason: v1alpha1.ReasonAgentTooOld}},
			want: "warning agents: plan fleet: 1 host with an agent older than spec.hosts.minAgentVersion, never granted: web1"},
		"no role": {hosts: one, verdicts: []rollout.Verdict{{Host: "1", Reason: v1alpha1.ReasonNoRole}, {Host: "2", Reason: v1alpha1.ReasonNoRole},
			{Host: "3", Reason: v1alpha1.ReasonNoRole}, {Host: "4", Reason: v1alpha1.ReasonNoRole}},
			want: "warning hosts: plan fleet: 4 hosts without a role, never granted: 1, 2, 3 and 1 more"},
		"notes":          {hosts: one, notes: []string{"odd"}, want: "warning keys: plan fleet: odd"},
		"incomplete":     {hosts: one, lacks: "ACLs hide keys", want: "problem keys: plan fleet: what was read is incomplete: ACLs hide keys"},
		"cannot be read": {err: fmt.Errorf("no"), want: "problem keys: plan fleet: the fleet cannot be read: no"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &pass.Assessment{}
			a.Fleet = fleet.Fleet{Hosts: tt.hosts, Notes: tt.notes, Incomplete: tt.lacks}
			a.Decision.Verdicts = tt.verdicts
			got := lines(fleets.CheckFleet(&fleets.Fleet{Plan: "fleet", Assessment: a, Err: tt.err},
				[]leaderelection.Controller{running("a", "v0.3.0", true), running("b", "", false)}))
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
