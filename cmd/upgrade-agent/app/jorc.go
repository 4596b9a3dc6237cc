// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

const groupJorc = "jorc"

// addJorc adds the commands of python-jiocloud's jorc that scripts on hosts call. They keep its exit codes and both
// spellings of its names.
func addJorc(root *cobra.Command) {
	root.AddGroup(&cobra.Group{ID: groupJorc, Title: "Commands of jorc, for scripts (also with underscores):"})
	for _, cmd := range []*cobra.Command{
		newCheckPuppet(), newPendingUpdate(), newCurrentVersion(), newLocalVersion(), newUpdateOwnInfo(), newUpdateOwnStatus(),
		newLocalHealth(), newHostData(), newPing(),
	} {
		cmd.GroupID = groupJorc
		cmd.Aliases = []string{strings.ReplaceAll(cmd.Name(), "-", "_")}
		root.AddCommand(cmd)
	}
}

// exitCode returns an error that ends the command with the code and prints nothing. Code 0 is no error.
func exitCode(code int) error {
	if code == cli.ExitOK {
		return nil
	}
	return &cli.ExitError{Code: code}
}

// jorcOptions are the flags that the commands of jorc share. Each command binds those that it needs.
type jorcOptions struct {
	host    hostOptions
	consul  consul.Config
	address flags.HostPort
}

func (o *jorcOptions) bindConsul(f *pflag.FlagSet) {
	flags.BindConsul(f, &o.consul)
	o.address.Bind(f)
}

func (o *jorcOptions) bindKeys(f *pflag.FlagSet) {
	o.bindConsul(f)
	o.host.bindPrefix(f)
}

// runE completes the options before it calls run.
func (o *jorcOptions) runE(run func(ctx context.Context, out io.Writer, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := o.host.complete(); err != nil {
			return err
		}
		if err := o.address.Complete(&o.consul); err != nil {
			return cli.FlagError(err)
		}
		return run(cmd.Context(), cmd.OutOrStdout(), args)
	}
}

// open returns the store. Its reads are not stale, since scripts act on the answer without another check.
func (o *jorcOptions) open() (*consul.Store, error) {
	s, err := consul.New(o.consul)
	if err != nil {
		return nil, cli.FlagError(err)
	}
	return s, nil
}

// checkComplete returns an error if ACLs filtered what was read, since a hidden key must not look like a missing one.
func checkComplete(filtered bool, what, rule string) error {
	if filtered {
		return fmt.Errorf("incomplete read of %s: the token needs %s", what, rule)
	}
	return nil
}
