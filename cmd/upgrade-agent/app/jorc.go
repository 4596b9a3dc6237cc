// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// exitStatus is an exit code that is the answer: all has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

const groupJorc = "jorc"

// addJorc adds the commands of python-jiocloud's jorc that scripts on hosts call, with its exit codes and in both
// spellings.
func addJorc(root *cobra.Command) {
	root.AddGroup(&cobra.Group{ID: groupJorc, Title: "For scripts, as jorc had them (with underscores too):"})
	for _, cmd := range []*cobra.Command{
		newCheckPuppet(), newPendingUpdate(), newCurrentVersion(), newLocalVersion(), newUpdateOwnInfo(), newUpdateOwnStatus(),
		newLocalHealth(), newHostData(), newPing(),
	} {
		cmd.GroupID = groupJorc
		cmd.Aliases = []string{strings.ReplaceAll(cmd.Name(), "-", "_")}
		root.AddCommand(cmd)
	}
}

// jorc are the flags of these commands. Each binds those that it needs.
type jorc struct {
	host, role, versionFile string
	layout                  keys.Layout
	consul                  consul.Config
	address                 flags.HostPort
}

func (j *jorc) bindConsul(f *pflag.FlagSet) {
	flags.BindConsul(f, &j.consul)
	j.address.Bind(f)
}

func (j *jorc) bindKeys(f *pflag.FlagSet) {
	j.bindConsul(f)
	f.StringVar(&j.layout.Prefix, "prefix", "", "what stands before the fleet's keys: spec.keys.prefix of the plan")
}

func (j *jorc) bindHost(f *pflag.FlagSet) {
	f.StringVarP(&j.host, "hostname", "n", "", "name of the host in the keys (default: the whole name of this host)")
}

func (j *jorc) bindRole(f *pflag.FlagSet) {
	f.StringVar(&j.role, "role", "", "role of the host (default: the letters before the first digits of its name)")
}

func (j *jorc) bindVersionFile(f *pflag.FlagSet) {
	f.StringVar(&j.versionFile, "version-file", "/etc/current_version", "file with the version that this host has")
}

// runner is what a command does once its flags are complete.
type runner func(ctx context.Context, out io.Writer, args []string) error

// run completes the flags first.
func (j *jorc) run(f runner) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := j.complete(); err != nil {
			return err
		}
		return f(cmd.Context(), cmd.OutOrStdout(), args)
	}
}

func (j *jorc) complete() error {
	if j.host == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("the host name cannot be read (--hostname sets it): %w", err)
		}
		j.host = name
	}
	if j.role == "" {
		j.role = fleet.RoleOf(j.host)
	}
	const segment = "must be letters, digits and . _ ~ + -, beginning with a letter or a digit"
	const path = "must be names joined by single slashes, without one at its ends"
	switch {
	case !keys.ValidSegment(j.host):
		return usageError{fmt.Errorf("--hostname %q: %s", j.host, segment)}
	case j.role != "" && !keys.ValidSegment(j.role):
		return usageError{fmt.Errorf("--role %q: %s", j.role, segment)}
	case j.layout.Prefix != "" && !keys.ValidPath(j.layout.Prefix):
		return usageError{fmt.Errorf("--prefix %q: %s", j.layout.Prefix, path)}
	case j.layout.Records != "" && !keys.ValidPath(j.layout.Records):
		return usageError{fmt.Errorf("--running-versions %q: %s", j.layout.Records, path)}
	}
	if err := j.address.Complete(&j.consul); err != nil {
		return usageError{err}
	}
	return nil
}

// open makes the store. Its reads are not stale: what scripts do upon an answer is checked by nothing afterwards.
func (j *jorc) open() (*consul.Store, error) {
	s, err := consul.New(j.consul)
	if err != nil {
		return nil, usageError{err}
	}
	return s, nil
}

// visible is an error if ACLs hid something of what was read: it must not look as if it were not there.
func visible(filtered bool, what, rule string) error {
	if filtered {
		return fmt.Errorf("ACLs hid something of %s: the token needs %s", what, rule)
	}
	return nil
}
