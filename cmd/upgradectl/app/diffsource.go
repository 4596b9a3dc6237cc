// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// gitTokenEnv holds the token for the repository of a source.
const gitTokenEnv = "UPGRADE_GIT_TOKEN"

// deleted is what a sync would do with a plan that left its source.
const deleted upgradeplan.Outcome = "deleted"

// fromSource are the flags of a source that is read as its controller would read it.
type fromSource struct {
	name string
	auth repository.Auth
}

func (f *fromSource) bind(set *pflag.FlagSet) {
	set.StringVar(&f.name, "source", "", "the source whose repository is compared, in place of -f")
	set.StringVar(&f.auth.Username, "git-username", "", "user of the token (default git)")
	set.StringVar(&f.auth.TokenFile, "git-token-file", "", "file with the token for an https:// source (default: "+gitTokenEnv+")")
	set.StringVar(&f.auth.CAFile, "git-ca-file", "", "certificates that are trusted for an https:// source, PEM")
	set.StringVar(&f.auth.SSHKeyFile, "git-ssh-key", "", "private key for an ssh:// source")
	set.StringVar(&f.auth.KnownHostsFile, "git-known-hosts", "", "keys of the host of an ssh:// source")
}

// readSource reads what the repository holds now, and which plans a sync would delete.
func (c *cli) readSource(ctx context.Context, f fromSource) (documents []manifest.Document, leaving []string, err error) {
	plans, s, err := c.plans()
	if err != nil {
		return nil, nil, err
	}
	status, err := source(ctx, s, f.name)
	if err != nil {
		return nil, nil, err
	}
	from := status.Source
	from.Auth = f.auth
	if from.Auth.TokenFile == "" {
		from.Auth.Token = c.Getenv(gitTokenEnv)
	}
	if from.Verify.Enabled() {
		c.say("signatures are not checked here: only the controller has the keys")
		from.Verify = repository.Verify{}
	}
	content, err := gitsync.Read(ctx, from, repository.DefaultLimits(), c.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("source %s: %w", from.Name, err)
	}
	c.say("source %s: %s", from.Name, content.Revision)
	origins, err := plans.Origins(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range gitsync.PlansToPrune(origins, from, content) {
		kept, err := upgradeplan.ManagedPlans{Store: s}.Prune(ctx, name, from.Name, true)
		switch {
		case err != nil:
			return nil, nil, err
		case kept != "":
			c.warn(fmt.Sprintf("upgradeplan/%s left the repository and would be kept: %s", name, oneLine(kept)))
		default:
			leaving = append(leaving, name)
		}
	}
	return content.Documents, leaving, nil
}

// diffDeleted is what the deletion of a plan changes: the plan alone.
func (c *cli) diffDeleted(ctx context.Context, name string) (*PlanDiff, error) {
	plans, _, err := c.plans()
	if err != nil {
		return nil, err
	}
	stored, err := plans.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &PlanDiff{Plan: name, Outcome: deleted, source: "deleted"}
	out.before, err = describe.Manifest(stored)
	out.Keys = out.changes.JSON()
	return out, err
}
