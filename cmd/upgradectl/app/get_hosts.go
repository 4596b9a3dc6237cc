// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

type getHostsOptions struct {
	getFleetOptions
	watchFlag
	roles, states []string
}

func newCmdGetHosts(f *factory, runF func(context.Context, *getHostsOptions) error) *cobra.Command {
	o := &getHostsOptions{getFleetOptions: getFleetOptions{getOptions: getOptions{factory: f}}}
	cmd := &cobra.Command{
		Use:     "hosts [NAME...]",
		Aliases: []string{"host"},
		Short:   "List hosts, with their state and its reason",
		Long: "Lists hosts, with their state and its reason. -o wide adds the message, the group, the version of the agent,\nand times.\n" +
			fmt.Sprintf(itemHelp, "Host", "name, role, group, version,\nstate, reason, message, inFlight, counts, agent, "+
				"decidedBy {key, value, modifyIndex, grantedAt}, recordedAt,\nstarted {version, from, time, by}, "+
				"report {role, version, agentVersion, phase, message, time}, pausedBy, hold {reason, owner, time, expires, exempt},\n"+
				"checks {id, status}, unhealthy"),
		Example:           "  upgradectl get hosts --role web --state pending,failed -o wide",
		ValidArgsFunction: f.completeManyArgs(completeHosts),
		RunE:              runE(f, o, runGetHosts, runF),
	}
	o.getOptions.bind(cmd)
	o.fleetFlag.bind(cmd)
	o.watchFlag.bind(cmd)
	cmd.Flags().StringSliceVar(&o.roles, "role", nil, "only hosts of these roles or groups")
	completeFlag(cmd, "role", f.completeBy(completeList(completeRolesAndGroups)))
	cmd.Flags().StringSliceVar(&o.states, "state", nil, "only hosts in these states: "+strings.Join(describe.States(), ", "))
	completeFlag(cmd, "state", f.completeBy(completeList(completeWords(describe.States()...))))
	return cmd
}

func (o *getHostsOptions) complete(args []string) error {
	for _, state := range o.states {
		if !slices.ContainsFunc(describe.States(), func(s string) bool { return strings.EqualFold(s, state) }) {
			return cli.FlagErrorf("--state %q: must be %s", state, cli.OrList(describe.States()))
		}
	}
	return o.getFleetOptions.complete(args)
}

// wants reports whether the flags select a host.
func (o *getHostsOptions) wants(h *describe.Host) bool {
	return h.InRole(o.roles) && h.InState(o.states)
}

func runGetHosts(ctx context.Context, o *getHostsOptions) error {
	if o.watch {
		return watchList(ctx, o.factory, hostKind(), o.format.Value, func(ctx context.Context) (listing[describe.Host], error) {
			return readHosts(ctx, o)
		})
	}
	_, hosts, err := observeHosts(ctx, o)
	if err != nil {
		return err
	}
	hosts = slices.DeleteFunc(hosts, func(h describe.Host) bool { return !o.wants(&h) })
	return printItems(o.factory, hostKind(), o.format.Value, hosts, o.names)
}

// observeHosts reads the hosts of a fleet, with the times of their records if the format shows them.
func observeHosts(ctx context.Context, o *getHostsOptions) (*pass.Assessment, []describe.Host, error) {
	seen, err := observe(ctx, o.factory, o.fleet)
	if err != nil {
		return nil, nil, err
	}
	if o.format.Value == cli.Table || o.format.Value == cli.Name {
		return seen, describe.Hosts(seen, nil), nil
	}
	s, err := o.store()
	if err != nil {
		return nil, nil, err
	}
	records, err := describe.Records(ctx, s, seen.Layout)
	if err != nil {
		return nil, nil, err
	}
	return seen, describe.Hosts(seen, records), nil
}

// readHosts reads the wanted hosts for --watch.
func readHosts(ctx context.Context, o *getHostsOptions) (listing[describe.Host], error) {
	seen, hosts, err := observeHosts(ctx, o)
	if _, missing := errors.AsType[*planstore.NotFoundError](err); missing && o.fleet == "" { // deleted after it was listed
		seen, hosts, err = observeHosts(ctx, o)
	}
	if err != nil {
		return listing[describe.Host]{}, err
	}
	out := listing[describe.Host]{watches: append(upgradeplan.Watches(seen), store.WatchKeys(keys.PlansEpoch))}
	for i := range hosts {
		if o.wants(&hosts[i]) && (len(o.names) == 0 || slices.Contains(o.names, hosts[i].Name)) {
			out.items = append(out.items, hosts[i])
		}
	}
	out.readAgainAt(seen.Decision.RequeueAt())
	return out, nil
}

func hostKind() itemKind[describe.Host] {
	return itemKind[describe.Host]{
		name: "host", kind: "Host", narrow: 5,
		header: []string{"NAME", "ROLE", "STATE", "VERSION", "REASON", "GROUP", "AGENT", "AGENT-VERSION", "GRANTED", "RECORDED", "MESSAGE"},
		nameOf: func(h *describe.Host) string { return h.Name },
		row: func(h *describe.Host) []string {
			granted := ""
			if h.DecidedBy != nil {
				granted = describe.Stamp(h.DecidedBy.GrantedAt)
			}
			return []string{h.Name, h.Role, h.State, h.Version, h.Reason, h.Group, describe.YesNo(h.Agent), h.AgentVersion(), granted,
				describe.Stamp(h.RecordedAt), h.Message}
		},
	}
}
