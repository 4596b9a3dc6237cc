// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

// The values of --action.
const (
	actionSet    = "set"
	actionDelete = "delete"
)

// configOptions are the options of set-config and enable-puppet.
type configOptions struct {
	*factory
	fleetFlag
	name         string
	action, tree *cli.Choice
	// puppet is true for enable-puppet, whose arguments do not name the key.
	puppet     bool
	key, value string
	place      fleet.Place
}

func newConfigOptions(f *factory, puppet bool) *configOptions {
	return &configOptions{factory: f, puppet: puppet, action: cli.NewChoice(actionSet, actionDelete),
		tree: cli.NewChoice(keys.ConfigState, keys.ConfigVersion)}
}

func (o *configOptions) bind(cmd *cobra.Command) {
	o.fleetFlag.bind(cmd)
	cmd.Flags().StringVarP(&o.name, "name", "n", "", "role or host; not with scope global")
	completeFlag(cmd, "name", o.completeBy(completeNamesInScope))
	cmd.Flags().VarP(o.action, "action", "a", cli.OrList(o.action.Allowed()))
}

func newCmdEnablePuppet(f *factory, runF func(context.Context, *configOptions) error) *cobra.Command {
	o := newConfigOptions(f, true)
	cmd := &cobra.Command{
		Use:   "enable-puppet True|False global|role|host",
		Short: "Set (False) or override (True) the pause of a host, a role or all hosts, or remove either (--action delete)",
		Long: "Sets the pause key of a scope. False keeps Puppet from running there, and hosts from changing their version, despite\n" +
			"the controller. True ends the pauses of wider scopes for this one. No new start follows after the command returns.\n" +
			"--action delete removes the key. upgradectl hold does the same with a reason and an expiry, and is listed.",
		Example: "  upgradectl enable-puppet False host --name web3\n" +
			"  upgradectl enable-puppet True host --name web3 --action delete",
		Args:              cli.Args(cobra.ExactArgs(2)),
		ValidArgsFunction: f.completeArgs(completeWords(keys.Enabled, keys.Disabled), completeWords(scopeNames()...)),
		RunE:              runE(f, o, runSetConfig, runF),
	}
	o.bind(cmd)
	return cmd
}

func newCmdSetConfig(f *factory, runF func(context.Context, *configOptions) error) *cobra.Command {
	o := newConfigOptions(f, false)
	cmd := &cobra.Command{
		Use:   "set-config KEY VALUE global|role|host",
		Short: "Set or delete a setting of a host, a role or all hosts (upgrade-agent host-data prints them)",
		Args:  cli.Args(cobra.ExactArgs(3)),
		ValidArgsFunction: f.completeArgs(completeWords(keys.PauseName), completeWords(keys.Enabled, keys.Disabled),
			completeWords(scopeNames()...)),
		RunE: runE(f, o, runSetConfig, runF),
	}
	o.bind(cmd)
	cmd.Flags().VarP(o.tree, "config-type", "c", cli.OrList(o.tree.Allowed()))
	return cmd
}

func (o *configOptions) complete(args []string) (err error) {
	if o.puppet {
		args = append([]string{keys.PauseName}, args...)
	}
	o.key, o.value = args[0], args[1]
	if o.place, err = parsePlace(args[2], o.name); err != nil {
		return err
	}
	if !keys.ValidSegment(o.key) {
		return cli.Usagef("KEY %q: %s", o.key, names.SegmentRule)
	}
	if o.tree.Value == keys.ConfigState && o.key == keys.PauseName {
		o.value, err = parsePause(o.value)
	}
	return err
}

// runSetConfig sets or deletes a setting, and prints its value as jorc did.
func runSetConfig(ctx context.Context, o *configOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	l, err := layoutOf(ctx, o.factory, o.fleet)
	if err != nil {
		return err
	}
	settings := planstore.Settings{Store: s, Layout: l}
	at := planstore.Setting{Tree: o.tree.Value, At: o.place, Name: o.key}
	if o.action.Value == actionDelete {
		_, err = settings.Delete(ctx, at)
	} else {
		_, err = settings.Set(ctx, at, o.value)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.Out, o.value)
	return err
}

// parsePause returns the value of a pause key in the spelling that every host reads.
func parsePause(value string) (string, error) {
	for _, proper := range []string{keys.Enabled, keys.Disabled} {
		if strings.EqualFold(value, proper) {
			return proper, nil
		}
	}
	return "", cli.Usagef("VALUE %q of %s: must be %s or %s", value, keys.PauseName, keys.Enabled, keys.Disabled)
}

// parsePlace returns the place of a scope and a name.
func parsePlace(scope, name string) (fleet.Place, error) {
	if scope == fleet.ScopeGlobal.String() {
		if name != "" {
			return fleet.Place{}, cli.FlagErrorf("--name: not with scope global")
		}
		return fleet.Place{Scope: fleet.ScopeGlobal}, nil
	}
	for _, s := range []fleet.Scope{fleet.ScopeRole, fleet.ScopeHost} {
		switch {
		case s.String() != scope:
			continue
		case name == "":
			return fleet.Place{}, cli.FlagErrorf("--name is required with scope %s", scope)
		case !keys.ValidSegment(name):
			return fleet.Place{}, cli.FlagErrorf("--name %q: %s", name, names.SegmentRule)
		}
		return fleet.Place{Scope: s, Name: name}, nil
	}
	return fleet.Place{}, cli.Usagef("scope %q: must be %s", scope, cli.OrList(scopeNames()))
}

func scopeNames() []string {
	return []string{fleet.ScopeGlobal.String(), fleet.ScopeRole.String(), fleet.ScopeHost.String()}
}
