// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// BuildInfo is what version -o json prints.
type BuildInfo struct {
	Version    string `json:"version"`
	Revision   string `json:"revision,omitempty"`
	Time       string `json:"time,omitempty"`
	Modified   bool   `json:"modified,omitempty"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	APIVersion string `json:"apiVersion"`
}

// versionInfo is what version -o json prints. The fields of what Consul did not answer are absent.
type versionInfo struct {
	BuildInfo `json:",inline"`
	*controllersInfo
	*agentsInfo
}

type controllersInfo struct {
	// Controllers are those that run, the leader first.
	Controllers []controllerInfo `json:"controllers"`
	// Lock says which process leads. It is absent if none does.
	Lock *leaderelection.LockHeldError `json:"lock,omitempty"`
}

type controllerInfo struct {
	Name string `json:"name"`
	// Version and Since, the time of its start, are absent for a controller of an earlier release.
	Version string     `json:"version,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
	Leading bool       `json:"leading"`
	// LeadingSince is since when it leads.
	LeadingSince *time.Time `json:"leadingSince,omitempty"`
}

type agentsInfo struct {
	Agents []describe.Agents `json:"agents"`
	// LegacyHosts is the number of hosts without an agent.
	LegacyHosts int `json:"legacyHosts"`
}

// asText is the default format of version.
const asText = "text"

type versionOptions struct {
	*factory
	fleetFlag
	agents bool
	client bool
	format *cli.Choice
}

func newCmdVersion(f *factory, runF func(context.Context, *versionOptions) error) *cobra.Command {
	o := &versionOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the versions of this program, the controllers and the agents",
		Long: "Shows the version of this program, each controller that runs, the leader first, and counts the agents of each version\n" +
			"and the hosts without one. unknown are programs of releases that do not report their version.\n\n" +
			"If Consul does not answer, the command warns and shows the rest. With --fleet that is an error. With --client the command\n" +
			"does not ask Consul.",
		Args: cli.NoArgs,
		RunE: runE(f, o, runVersion, runF),
	}
	o.fleetFlag.bind(cmd)
	cmd.Flags().BoolVar(&o.agents, "fleet", false, "fail if the controllers or agents cannot be read")
	cmd.Flags().BoolVar(&o.client, "client", false, "show the version of this program alone")
	o.format = cli.BindOutput(cmd.Flags(), asText, cli.JSON, cli.YAML)
	return cmd
}

func (o *versionOptions) complete([]string) error {
	if o.client && (o.agents || o.fleet != "") {
		return cli.FlagErrorf("--client cannot be combined with --fleet or --plan")
	}
	return nil
}

func runVersion(ctx context.Context, o *versionOptions) error {
	info := versionInfo{BuildInfo: buildInfo()}
	var missing error
	if !o.client {
		missing = o.ask(ctx, &info)
	}
	if err := o.print(info); err != nil {
		return err
	}
	if missing != nil && !o.agents {
		o.warn("%s", cli.OneLine(missing.Error()))
		return nil
	}
	return missing
}

// ask reads what runs from Consul. The error says what could not be read.
func (o *versionOptions) ask(ctx context.Context, info *versionInfo) error {
	f := o.factory
	if !o.agents && o.flags.consul.Login.AuthMethod == "" { // a Consul that does not answer must not delay the rest
		quick, err := o.quick()
		if err != nil {
			return err
		}
		quick.Err = o.Err
		f = quick
	}
	s, err := f.store()
	if err != nil {
		return err
	}
	found, held, denied := leaderelection.Controllers(ctx, s)
	if _, ok := errors.AsType[*store.ForbiddenError](denied); denied != nil && !ok {
		return denied
	}
	if denied == nil || held != nil {
		info.controllersInfo = controllersOf(found, held)
	}
	seen, err := observe(ctx, f, o.fleet)
	if err == nil {
		agents, legacy := describe.AgentVersions(seen)
		info.agentsInfo = &agentsInfo{agents, legacy}
	}
	return errors.Join(denied, err)
}

func controllersOf(found []leaderelection.Controller, held *leaderelection.LockHeldError) *controllersInfo {
	info := &controllersInfo{Controllers: []controllerInfo{}, Lock: held}
	for _, c := range found {
		info.Controllers = append(info.Controllers, controllerInfo{Name: c.Name, Version: c.Version, Since: known(c.Since),
			Leading: c.Leading, LeadingSince: known(c.LeadingSince)})
	}
	return info
}

// known returns a time. Nil means that it is unknown.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (o *versionOptions) print(info versionInfo) error {
	if o.format.Value != asText {
		return cli.Print(o.Out, o.format.Value, info)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "upgradectl %s (%s, %s, %s)\n", info.Version, info.APIVersion, info.Go, info.Platform)
	if info.controllersInfo != nil {
		info.controllersInfo.write(&text)
	}
	if info.agentsInfo != nil {
		for _, a := range info.Agents {
			fmt.Fprintf(&text, "upgrade-agent %s: %s\n", cmp.Or(a.Version, "unknown"), wording.Count(a.Hosts, "host"))
		}
		if info.LegacyHosts > 0 {
			fmt.Fprintf(&text, "without an agent: %s\n", wording.Count(info.LegacyHosts, "host"))
		}
	}
	_, err := io.WriteString(o.Out, text.String())
	return err
}

func (info *controllersInfo) write(text *strings.Builder) {
	for _, c := range info.Controllers {
		state := "stands by"
		if c.Leading {
			state = "leads"
			if c.LeadingSince != nil {
				state += " since " + c.LeadingSince.UTC().Format(time.RFC3339)
			}
		}
		name := strings.TrimPrefix(c.Name, leaderelection.ControllerName+" on ")
		fmt.Fprintf(text, "upgrade-controller %s: %s on %s\n", cmp.Or(c.Version, "unknown"), state, cli.OneLine(name))
	}
	switch {
	case info.Lock != nil && info.Lock.Kind == leaderelection.KindCLI:
		fmt.Fprintf(text, "a command leads: %s\n", cli.OneLine(info.Lock.Holder))
	case info.Lock != nil && info.Lock.Holder == "":
		fmt.Fprintln(text, "an unknown process leads")
	case len(info.Controllers) == 0:
		fmt.Fprintln(text, "no controller is running")
	}
}

func buildInfo() BuildInfo {
	b := BuildInfo{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		APIVersion: v1alpha1.APIVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
