// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	consulstore "github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
)

func storeWith(t *testing.T, consul *consuldev.Agent, token string) *consulstore.Store {
	t.Helper()
	s, err := consulstore.New(consulstore.Config{Address: consul.Addr(), Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// syncs follows a source as a controller does, with a token, and says whether all of that is allowed.
func syncs(t *testing.T, consul *consuldev.Agent, token string) bool {
	t.Helper()
	git := gittest.New(t)
	git.Commit("fleet.yaml", strings.TrimSpace(plan)+"\n")
	s := storeWith(t, consul, token)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lease, err := leaderelection.Acquire(ctx, s, keys.Leader, "test", leaderelection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lease.Release() }()
	log := funcr.New(func(_, text string) {
		if strings.Contains(text, "permission denied") {
			cancel()
		}
	}, funcr.Options{})
	r := &gitsync.Runner{Sources: []gitsync.Source{{Name: "default", Location: repository.Location{URL: git.URL()}}}, Store: s,
		Plans:  func(session string) gitsync.Plans { return planstore.ManagedPlans{Store: s, Session: session} },
		Limits: repository.DefaultLimits(), Now: time.Now, Random: func(time.Duration) time.Duration { return 0 }, Log: log}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, lease.Session()) }()
	client, err := api.NewClient(&api.Config{Address: consul.Addr(), Token: management})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sync, or its denial", func() bool {
		status, _, err := client.KV().Get(keys.Source("default"), nil)
		request, _, errRequest := client.KV().Get(keys.Request("default"), nil)
		return ctx.Err() != nil || errors.Join(err, errRequest) == nil && status != nil && request != nil
	})
	allowed := ctx.Err() == nil
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return allowed
}

// rings asks for a sync, as upgradectl reconcile source does, and says whether that is allowed.
func rings(t *testing.T, consul *consuldev.Agent, token string) bool {
	t.Helper()
	_, err := gitsync.RequestSync(t.Context(), storeWith(t, consul, token), "default", gitsync.Request{ID: "test"})
	if err != nil && !strings.Contains(err.Error(), "permission denied") {
		t.Fatal(err)
	}
	return err == nil
}
