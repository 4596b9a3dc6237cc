// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// flagSource is the name of the source that flags define.
const flagSource = "default"

// bindSource binds the flags that define one source without a file.
func bindSource(f *pflag.FlagSet, s *gitsync.Source) {
	f.StringVar(&s.URL, "git-url", "", "repository of plans to apply: https://…, ssh://… or file:///…; "+
		"a source with credentials, signatures or a webhook needs --config")
	f.StringVar(&s.Ref.Branch, "git-branch", "", "branch of --git-url (default: the default branch)")
	f.StringVar(&s.Path, "git-path", "", "directory in --git-url with the plans (default: the root)")
	f.StringVar(&s.Interval, "git-interval", gitsync.DefaultInterval.String(), "approximate interval of fetches from --git-url")
}

// addSource adds the source that flags define, if there is one, to those of the file.
func addSource(sources []gitsync.Source, s gitsync.Source) ([]gitsync.Source, error) {
	switch {
	case s.URL == "" && (s.Ref.Branch != "" || s.Path != ""):
		return nil, errors.New("--git-branch and --git-path need --git-url")
	case s.URL == "":
		return sources, nil
	case slices.ContainsFunc(sources, func(other gitsync.Source) bool { return other.Name == flagSource }):
		return nil, fmt.Errorf("--git-url defines a source named %s: rename the one in the file of --config", flagSource)
	}
	s.Name = flagSource
	if errs := gitsync.Validate([]gitsync.Source{s}, field.NewPath("git")); len(errs) > 0 {
		return nil, fmt.Errorf("--git-url, --git-branch, --git-path, --git-interval: %w", errs.ToAggregate())
	}
	return append(slices.Clip(sources), s), nil
}

// newSourceRunner returns the runner that syncs the sources.
func newSourceRunner(sources []gitsync.Source, s store.Store, observer gitsync.Observer, log logr.Logger) *gitsync.Runner {
	return &gitsync.Runner{
		Sources:  sources,
		Store:    s,
		Plans:    func(session string) gitsync.Plans { return planstore.ManagedPlans{Store: s, Session: session} },
		Limits:   repository.DefaultLimits(),
		Now:      time.Now,
		Random:   rand.N[time.Duration],
		Log:      log,
		Observer: observer,
	}
}
