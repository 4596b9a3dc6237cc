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

func (c *cli) version() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version of this program", Args: noArgs}
	format := output(cmd.Flags(), "text", asJSON, asYAML)
	cmd.RunE = c.run(func(context.Context, []string) error {
		b := buildInfo()
		if format.value != "text" {
			return c.print(format.value, b)
		}
		_, err := fmt.Fprintf(c.Out, "upgradectl %s (%s, %s, %s)\n", b.Version, b.APIVersion, b.Go, b.Platform)
		return err
	})
	return cmd
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
