// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// hostOptions identify the host, its version file and its keys. A command binds the flags that it needs.
type hostOptions struct {
	name, role, versionFile string
	layout                  keys.Layout
}

func (h *hostOptions) bindName(f *pflag.FlagSet, shorthand string) {
	f.StringVarP(&h.name, "hostname", shorthand, "", "name of the host in the keys (default: the full name of this host)")
}

func (h *hostOptions) bindRole(f *pflag.FlagSet) {
	f.StringVar(&h.role, "role", "", "role of the host (default: the letters before the first digits of its name)")
}

func (h *hostOptions) bindVersionFile(f *pflag.FlagSet) {
	f.StringVar(&h.versionFile, "version-file", "/etc/current_version", "file with the version that this host has")
}

func (h *hostOptions) bindPrefix(f *pflag.FlagSet) {
	f.StringVar(&h.layout.Prefix, "prefix", "", "prefix of the fleet's keys: spec.keys.prefix of the plan")
}

// complete fills in defaults and checks the values.
func (h *hostOptions) complete() error {
	if h.name == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("cannot read the host name; set it with --hostname: %w", err)
		}
		h.name = name
	}
	if h.role == "" {
		h.role = fleet.RoleOf(h.name)
	}
	if !names.Segment(h.name) {
		return cli.FlagErrorf("--hostname %q: %s", h.name, names.SegmentRule)
	}
	if h.role != "" && !names.Segment(h.role) {
		return cli.FlagErrorf("--role %q: %s", h.role, names.SegmentRule)
	}
	if err := flags.CheckKeyPath("--prefix", h.layout.Prefix); err != nil {
		return cli.FlagError(err)
	}
	if err := flags.CheckKeyPath("--running-versions", h.layout.Records); err != nil {
		return cli.FlagError(err)
	}
	return nil
}
