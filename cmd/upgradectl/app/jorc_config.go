// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// The actions of set-config.
const (
	actionSet    = "set"
	actionDelete = "delete"
)

// setting is what set-config and enable-puppet were told.
type setting struct {
	plan   *string
	name   string
	action *choice
	tree   *choice
}

func (c *cli) bindSetting(cmd *cobra.Command, s *setting) {
	s.plan = ofPlan(cmd)
	cmd.Flags().StringVarP(&s.name, "name", "n", "", "the role or host; not with scope global")
	completeFlag(cmd, "name", c.offer(c.namesInScope))
	s.action = &choice{actionSet, []string{actionSet, actionDelete}}
	cmd.Flags().VarP(s.action, "action", "a", orList(s.action.allowed))
	s.tree = &choice{keys.ConfigState, []string{keys.ConfigState, keys.ConfigVersion}}
}

func (c *cli) enablePuppet() *cobra.Command {
	s := &setting{}
	cmd := &cobra.Command{
		Use:   "enable-puppet True|False global|role|host",
		Short: "Pause a host, a role or all hosts (False), let them go on (True), or forget either (--action delete)",
		Long: "Sets the pause key of a scope: False keeps Puppet from running there, and hosts from changing their version, whatever\n" +
			"the controller says; True ends the pauses of wider scopes for this one. No new start follows once it has returned.\n" +
			"With --action delete the key is removed. upgradectl hold does the same with a reason and an end, and shows it.",
		Example: "  upgradectl enable-puppet False host --name web3\n  upgradectl enable-puppet True host --name web3 --action delete",
		Args:    args(cobra.ExactArgs(2)),
	}
	cmd.ValidArgsFunction = c.one(words(keys.Enabled, keys.Disabled), words(scopes()...))
	c.bindSetting(cmd, s)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		return c.configure(ctx, s, keys.PauseName, args[0], args[1])
	})
	return cmd
}

func (c *cli) setConfig() *cobra.Command {
	s := &setting{}
	cmd := &cobra.Command{
		Use:   "set-config KEY VALUE global|role|host",
		Short: "Set or delete a setting of a host, a role or all hosts; upgrade-agent host-data prints them",
		Args:  args(cobra.ExactArgs(3)),
	}
	cmd.ValidArgsFunction = c.one(words(keys.PauseName), words(keys.Enabled, keys.Disabled), words(scopes()...))
	c.bindSetting(cmd, s)
	cmd.Flags().VarP(s.tree, "config-type", "c", orList(s.tree.allowed))
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		return c.configure(ctx, s, args[0], args[1], args[2])
	})
	return cmd
}

// configure sets or deletes a setting, and prints its value as jorc did.
func (c *cli) configure(ctx context.Context, s *setting, key, value, scope string) error {
	place, err := placeIn(scope, s.name)
	if err != nil {
		return err
	}
	if !keys.ValidSegment(key) {
		return usagef("KEY %q: %s", key, names.SegmentRule)
	}
	if s.tree.value == keys.ConfigState && key == keys.PauseName {
		if value, err = pauseValue(value); err != nil {
			return err
		}
	}
	l, st, err := c.layoutOf(ctx, *s.plan)
	if err != nil {
		return err
	}
	settings := upgradeplan.Settings{Store: st, Layout: l}
	at := upgradeplan.Setting{Tree: s.tree.value, At: place, Name: key}
	if s.action.value == actionDelete {
		_, err = settings.Delete(ctx, at)
	} else {
		_, err = settings.Set(ctx, at, value)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out, value)
	return err
}

// pauseValue is the value of a pause key, which is written as every host reads it.
func pauseValue(value string) (string, error) {
	for _, proper := range []string{keys.Enabled, keys.Disabled} {
		if strings.EqualFold(value, proper) {
			return proper, nil
		}
	}
	return "", usagef("VALUE %q of %s: must be %s or %s", value, keys.PauseName, keys.Enabled, keys.Disabled)
}

// placeIn is the place of a scope and a name.
func placeIn(scope, name string) (fleet.Place, error) {
	if scope == fleet.ScopeGlobal.String() {
		if name != "" {
			return fleet.Place{}, flagError{errors.New("--name: not with scope global")}
		}
		return fleet.Place{Scope: fleet.ScopeGlobal}, nil
	}
	for _, s := range []fleet.Scope{fleet.ScopeRole, fleet.ScopeHost} {
		switch {
		case s.String() != scope:
			continue
		case name == "":
			return fleet.Place{}, flagError{fmt.Errorf("--name is required with scope %s", scope)}
		case !keys.ValidSegment(name):
			return fleet.Place{}, flagError{fmt.Errorf("--name %q: %s", name, names.SegmentRule)}
		}
		return fleet.Place{Scope: s, Name: name}, nil
	}
	return fleet.Place{}, usagef("scope %q: must be %s", scope, orList(scopes()))
}

func scopes() []string {
	return []string{fleet.ScopeGlobal.String(), fleet.ScopeRole.String(), fleet.ScopeHost.String()}
}
