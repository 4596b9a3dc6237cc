// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// gitTokenEnv is the environment variable with the token for the repository of a source.
const gitTokenEnv = "UPGRADE_GIT_TOKEN"

// deleted is the outcome of a sync for a plan that has left its source.
const deleted planstore.Outcome = "deleted"

// sourceFlags select a source, and the credentials to read its repository.
type sourceFlags struct {
	name string
	auth repository.Auth
}

func (f *sourceFlags) bind(set *pflag.FlagSet) {
	set.StringVar(&f.name, "source", "", "source whose repository is compared, in place of -f")
	set.StringVar(&f.auth.Username, "git-username", "", "user of the token (default git)")
	set.StringVar(&f.auth.TokenFile, "git-token-file", "", "file with the token for an https:// source (default: "+gitTokenEnv+")")
	set.StringVar(&f.auth.CAFile, "git-ca-file", "", "trusted certificates for an https:// source, PEM")
	set.StringVar(&f.auth.SSHKeyFile, "git-ssh-key", "", "private key for an ssh:// source")
	set.StringVar(&f.auth.KnownHostsFile, "git-known-hosts", "", "known keys of the host of an ssh:// source")
}

// readSource reads the manifests in the repository of a source, and the names of the plans that a sync would delete.
func readSource(ctx context.Context, f *factory, flags sourceFlags) (documents []manifest.Document, leaving []string, err error) {
	s, err := f.store()
	if err != nil {
		return nil, nil, err
	}
	status, err := findSource(ctx, s, flags.name)
	if err != nil {
		return nil, nil, err
	}
	from := &status.Source
	from.Auth = flags.auth
	if from.Auth.TokenFile == "" {
		from.Auth.Token = f.Getenv(gitTokenEnv)
	}
	if from.Verify.Enabled() {
		f.say("signatures are not checked: only the controller has the keys")
	}
	content, refusals, err := gitsync.Preview(ctx, status, repository.DefaultLimits(), f.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("source %s: %w", from.Name, err)
	}
	f.say("source %s: %s", from.Name, content.Revision)
	for _, refusal := range refusals {
		f.warn("the next sync will not apply these plans: %s", cli.OneLine(refusal.Error()))
	}
	origins, err := planstore.Plans{Store: s}.Origins(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range gitsync.PlansToPrune(origins, *from, content) {
		kept, err := planstore.ManagedPlans{Store: s}.Prune(ctx, name, from.Name, true)
		switch {
		case err != nil:
			return nil, nil, err
		case kept != "":
			f.warn("upgradeplan/%s has left the repository and would be kept: %s", name, cli.OneLine(kept))
		default:
			leaving = append(leaving, name)
		}
	}
	return content.Documents, leaving, nil
}

// diffDeleted returns the diff of a plan that is deleted. Its keys stay.
func diffDeleted(ctx context.Context, f *factory, name string) (*PlanDiff, error) {
	plans, err := f.plans()
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
