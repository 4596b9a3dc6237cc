// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

func TestLayout_PauseKeysAreConfigStateSettings(t *testing.T) {
	l := keys.Layout{Prefix: "eu"}
	global := fleet.Place{Scope: fleet.ScopeGlobal}
	host, role := fleet.Place{Scope: fleet.ScopeHost, Name: "web1"}, fleet.Place{Scope: fleet.ScopeRole, Name: "web"}
	for want, prefix := range map[string]string{
		l.PauseGlobal():     l.Config(keys.ConfigState, global),
		l.PauseRole("web"):  l.Config(keys.ConfigState, role),
		l.PauseHost("web1"): l.Config(keys.ConfigState, host),
	} {
		if prefix+keys.PauseName != want {
			t.Errorf("got %s, want %s", prefix+keys.PauseName, want)
		}
	}
	if got := l.Config(keys.ConfigVersion, host); got != "eu/config_version/host/web1/" {
		t.Errorf("got %s", got)
	}
}
