// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
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

// fleetInfo is what version --fleet -o json prints.
type fleetInfo struct {
	BuildInfo `json:",inline"`
	Agents    []describe.Agents `json:"agents"`
	// LegacyHosts is the number of hosts without an agent.
	LegacyHosts int `json:"legacyHosts"`
}

// asText is the default format of version.
const asText = "text"

type versionOptions struct {
	*factory
	fleetFlag
	agents bool
	format *cli.Choice
}

func newCmdVersion(f *factory, runF func(context.Context, *versionOptions) error) *cobra.Command {
	o := &versionOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program, and of the agents",
		Long: "Shows the version of this program. With --fleet, it also counts the agents of each version, and the hosts without one.\n" +
			"unknown are agents of releases that do not report their version.",
		Args: cli.NoArgs,
		RunE: runE(f, o, runVersion, runF),
	}
	o.fleetFlag.bind(cmd)
	cmd.Flags().BoolVar(&o.agents, "fleet", false, "count the agents of the fleet by version")
	o.format = cli.BindOutput(cmd.Flags(), asText, cli.JSON, cli.YAML)
	return cmd
}

func (o *versionOptions) complete([]string) error {
	if o.fleet != "" && !o.agents {
		return cli.FlagErrorf("--plan needs --fleet")
	}
	return nil
}

func runVersion(ctx context.Context, o *versionOptions) error {
	info := fleetInfo{BuildInfo: buildInfo()}
	if o.agents {
		seen, err := observe(ctx, o.factory, o.fleet)
		if err != nil {
			return err
		}
		info.Agents, info.LegacyHosts = describe.AgentVersions(seen)
	}
	switch {
	case o.format.Value == asText:
		return o.print(info)
	case o.agents:
		return cli.Print(o.Out, o.format.Value, info)
	}
	return cli.Print(o.Out, o.format.Value, info.BuildInfo)
}

func (o *versionOptions) print(info fleetInfo) error {
	var text strings.Builder
	fmt.Fprintf(&text, "upgradectl %s (%s, %s, %s)\n", info.Version, info.APIVersion, info.Go, info.Platform)
	for _, a := range info.Agents {
		fmt.Fprintf(&text, "upgrade-agent %s: %s\n", cmp.Or(a.Version, "unknown"), cli.Plural(a.Hosts, "host"))
	}
	if info.LegacyHosts > 0 {
		fmt.Fprintf(&text, "without an agent: %s\n", cli.Plural(info.LegacyHosts, "host"))
	}
	_, err := io.WriteString(o.Out, text.String())
	return err
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
