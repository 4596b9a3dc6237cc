// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

func TestPendingUpdate_ExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name, local, current string
		set                  bool
		err                  error
		want                 int
	}{
		{"another version", "v1", "v2", true, nil, 0},
		{"another version, new host", "", "v2", true, nil, 0},
		{"the same version", "v2", "v2", true, nil, 1},
		{"the same version with white space", "v2", " v2\n", true, nil, 1},
		{"versions are text, not numbers", "2026.1", "2026.10", true, nil, 0},
		{"no answer", "v1", "", false, errors.New("down"), 2},
		{"no answer, new host", "", "", false, errors.New("down"), 3},
		{"no current_version", "v1", "", false, nil, 3},
		{"no current_version, new host", "", "", false, nil, 3},
		{"invalid current_version", "v1", "a/b", true, nil, 2},
		{"invalid current_version, new host", "", "a/b", true, nil, 3},
		{"empty current_version", "v1", "", true, nil, 2},
	} {
		pair := keys.Pair{Value: []byte(tt.current)}
		if tt.set {
			pair.ModifyIndex = 7
		}
		if got, message := pendingUpdate(tt.local, pair, tt.err); got != tt.want || message == "" {
			t.Errorf("%s: %d (%s), want %d", tt.name, got, message, tt.want)
		}
	}
}

func TestScriptPermission(t *testing.T) {
	key := func(scope fleet.Scope, v fleet.Value, text string) fleet.Setting {
		return fleet.Setting{Scope: scope, EnableValue: fleet.EnableValue{Value: v, Text: text, Index: 5}}
	}
	hostEnabled, allDisabled := key(fleet.ScopeHost, fleet.True, "True"), key(fleet.ScopeGlobal, fleet.False, "False")
	for _, tt := range []struct {
		name    string
		view    permission.View
		reason  permission.Reason
		allowed bool
	}{
		{"no key", permission.View{}, permission.NoneSet, true},
		{"host enabled", permission.View{Setting: hostEnabled}, permission.Enabled, true},
		{"all disabled", permission.View{Setting: allDisabled}, permission.Disabled, false},
		{"invalid value", permission.View{Setting: key(fleet.ScopeRole, fleet.Invalid, "a/b")}, permission.InvalidValue, false},
		{"enabled for the local version", permission.View{Local: "v1", Setting: key(fleet.ScopeHost, fleet.Version, "v1")},
			permission.Enabled, true},
		{"enabled for another version", permission.View{Local: "v1", Current: fleet.CurrentVersion{Name: "v2", Index: 4},
			Setting: key(fleet.ScopeHost, fleet.Version, "v2")}, permission.OtherVersion, false},
		{"enabled and paused", permission.View{PausedBy: fleet.ScopeRole, Setting: hostEnabled}, permission.Paused, false},
		{"enabled and on hold", permission.View{OnHold: true, Setting: hostEnabled}, permission.OnHold, false},
		{"disabled and on hold", permission.View{OnHold: true, Setting: allDisabled}, permission.Disabled, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := agent.Observation{View: tt.view, Hold: &fleet.Hold{}}
			if got := scriptPermission(o, agent.Decide(o)); got.Reason != tt.reason || got.Allowed != tt.allowed {
				t.Errorf("%+v, want %s", got, tt.reason)
			}
		})
	}
}

func TestMergeSettings_TheMostSpecificWins(t *testing.T) {
	got := mergeSettings([][]keys.Pair{
		{{Key: "config_state/global/a", Value: []byte("global")}, {Key: "config_state/global/b", Value: []byte("global")},
			{Key: "config_state/global/c", Value: []byte("global")}},
		{{Key: "config_state/role/web/b", Value: []byte("role")}, {Key: "config_state/role/web/c", Value: []byte("role")}},
		{{Key: "config_state/host/web1/c", Value: []byte("host")}},
	})
	if diff := cmp.Diff(map[string]string{"a": "global", "b": "role", "c": "host"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNewCheckResult(t *testing.T) {
	for _, tt := range []struct {
		kind          string
		code          int
		check, status string
	}{
		{"puppet", 0, "puppet", consul.Passing},
		{"puppet", 2, "puppet", consul.Passing},
		{"puppet", 1, "puppet", consul.Warning},
		{"puppet", 4, "puppet", consul.Warning},
		{"puppet", 6, "puppet", consul.Warning},
		{"puppet", -1, "puppet", consul.Warning},
		{"puppet", 137, "puppet", consul.Warning},
		{"puppet_service", 2, "service:puppet", consul.Passing},
		{"puppet-service", 6, "service:puppet", consul.Critical},
		{"validation", 0, "validation", consul.Passing},
		{"validation", 2, "validation", consul.Warning},
		{"validation_service", 0, "service:validation", consul.Passing},
		{"validation_service", 1, "service:validation", consul.Critical},
	} {
		r, err := newCheckResult(tt.kind, tt.code)
		if err != nil || r.check != tt.check || r.status != tt.status || r.ttl < time.Hour {
			t.Errorf("%s %d: %+v, %v", tt.kind, tt.code, r, err)
		}
	}
	for _, kind := range []string{"", "service", "_service", "Puppet"} {
		if r, err := newCheckResult(kind, 0); err == nil {
			t.Errorf("%q: %+v", kind, r)
		}
	}
}
