// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

const (
	// flagSource is the name of the source that flags make.
	flagSource = "default"
	// webhookFlag says where webhooks are taken.
	webhookFlag = "webhook-bind-address"
)

// bindSource binds the flags that make one source without a file.
func bindSource(f *pflag.FlagSet, s *gitsync.Source) {
	f.StringVar(&s.URL, "git-url", "", "repository whose plans are applied: https://…, ssh://… or file:///…; "+
		"a source with credentials, signatures or a webhook takes --config")
	f.StringVar(&s.Ref.Branch, "git-branch", "", "branch of --git-url (default: the repository's own)")
	f.StringVar(&s.Path, "git-path", "", "folder in --git-url that holds the plans (default: all of it)")
	f.StringVar(&s.Interval, "git-interval", gitsync.DefaultInterval.String(), "about how often --git-url is looked at")
}

// withFlags are the sources of the file and the one that flags make.
func withFlags(sources []gitsync.Source, s gitsync.Source) ([]gitsync.Source, error) {
	switch {
	case s.URL == "" && (s.Ref.Branch != "" || s.Path != ""):
		return nil, errors.New("--git-branch and --git-path say which part of --git-url: it is required")
	case s.URL == "":
		return sources, nil
	case slices.ContainsFunc(sources, func(other gitsync.Source) bool { return other.Name == flagSource }):
		return nil, fmt.Errorf("--git-url makes a source named %s, and the file of --config has one of that name", flagSource)
	}
	s.Name = flagSource
	if errs := gitsync.Validate([]gitsync.Source{s}, field.NewPath("git")); len(errs) > 0 {
		return nil, fmt.Errorf("--git-url, --git-branch, --git-path, --git-interval: %w", errs.ToAggregate())
	}
	return append(slices.Clip(sources), s), nil
}

// runner follows the sources.
func runner(sources []gitsync.Source, s store.Store, seen gitsync.Observer, log logr.Logger) *gitsync.Runner {
	return &gitsync.Runner{
		Sources:  sources,
		Store:    s,
		Plans:    func(session string) gitsync.Plans { return upgradeplan.ManagedPlans{Store: s, Session: session} },
		Limits:   repository.DefaultLimits(),
		Now:      time.Now,
		Random:   rand.N[time.Duration],
		Log:      log,
		Observer: seen,
	}
}

// webhookRoutes takes webhooks.
func webhookRoutes(hooks http.Handler) func(*http.ServeMux) {
	return func(mux *http.ServeMux) { mux.Handle("POST /hook/{source}", hooks) }
}
