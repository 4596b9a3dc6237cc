// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// config finds the enable keys and pause keys below config_state/. It ignores other keys there.
func (d *decoder) config() {
	enable, state := d.layout.EnableTree(), d.layout.ConfigState()
	d.roles, d.paused = map[string]fleet.EnableValue{}, map[string]bool{}
	for i, p := range d.snapshot.Config {
		if rest, ok := strings.CutPrefix(p.Key, enable); ok {
			d.enable(rest, p, i)
			continue
		}
		if scope, ok := strings.CutSuffix(strings.TrimPrefix(p.Key, state), "/enable_puppet"); ok {
			if OfHold(p) {
				d.ofHold = append(d.ofHold, scope)
				continue
			}
			d.paused[scope] = DecodePause(p)
		}
	}
}

func (d *decoder) enable(rest string, p Pair, at int) {
	scope, name := splitEnable(rest)
	if scope == fleet.ScopeNone {
		d.note("%s is neither global, role/<role> nor host/<host>; no host reads it", bounded([]byte(p.Key)))
		return
	}
	s := DecodeEnableValue(p)
	if s.Value == fleet.Invalid || s.Value == fleet.Version && s.Text != DecodeVersion(d.snapshot.Current.Value) {
		d.note("%s is %q; agents read that as disabled, legacy hosts as enabled", p.Key, s.Text)
	}
	switch scope {
	case fleet.ScopeGlobal:
		d.global = s
	case fleet.ScopeRole:
		d.roles[name] = s
	default:
		d.found(name, foundEnable, at)
	}
}

func splitEnable(rest string) (fleet.Scope, string) {
	if rest == "global" {
		return fleet.ScopeGlobal, ""
	}
	if name, ok := strings.CutPrefix(rest, "host/"); ok && plain(name) {
		return fleet.ScopeHost, name
	}
	if name, ok := strings.CutPrefix(rest, "role/"); ok && plain(name) {
		return fleet.ScopeRole, name
	}
	return fleet.ScopeNone, ""
}

func plain(name string) bool { return name != "" && strings.IndexByte(name, '/') < 0 }

func (d *decoder) settingOf(h *fleet.Host, own *Pair) {
	if own != nil {
		h.Setting = fleet.Setting{Scope: fleet.ScopeHost, EnableValue: DecodeEnableValue(*own)}
		return
	}
	if s, ok := d.roles[h.LookupRole]; ok && h.LookupRole != "" {
		h.Setting = fleet.Setting{Scope: fleet.ScopeRole, EnableValue: s}
	} else if d.global.Index != 0 {
		h.Setting = fleet.Setting{Scope: fleet.ScopeGlobal, EnableValue: d.global}
	}
}
