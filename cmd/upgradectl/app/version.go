// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
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

// asText is the default format of version.
const asText = "text"

type versionOptions struct {
	*factory
	withoutArgs
	format *cli.Choice
}

func newCmdVersion(f *factory, runF func(context.Context, *versionOptions) error) *cobra.Command {
	o := &versionOptions{factory: f}
	cmd := &cobra.Command{Use: "version", Short: "Show the version of this program", Args: cli.NoArgs, RunE: runE(f, o, runVersion, runF)}
	o.format = cli.BindOutput(cmd.Flags(), asText, cli.JSON, cli.YAML)
	return cmd
}

func runVersion(_ context.Context, o *versionOptions) error {
	b := buildInfo()
	if o.format.Value != asText {
		return cli.Print(o.Out, o.format.Value, b)
	}
	_, err := fmt.Fprintf(o.Out, "upgradectl %s (%s, %s, %s)\n", b.Version, b.APIVersion, b.Go, b.Platform)
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
