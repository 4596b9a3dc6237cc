// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

const sourceStatus = `{"source":{"name":"default","url":"file:///srv/fleet.git","timeout":"5s"}}`

// led is a store whose leader is a controller that does nothing.
func led(t *testing.T) store.Store {
	t.Helper()
	s := memory.New(time.Now)
	lease, err := leaderelection.Acquire(t.Context(), s, keys.Leader, "upgrade-controller on a", leaderelection.Options{Kind: leaderelection.KindController})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Release() })
	put(t, s, keys.Source("default"), sourceStatus)
	return s
}

func put(t *testing.T, s store.Writer, key, value string) {
	t.Helper()
	if _, err := s.Txn(context.Background(), []store.Op{{Verb: store.Set, Key: key, Value: []byte(value)}}); err != nil {
		t.Fatal(err)
	}
}

// runWith runs a command with a store. It returns the exit code, and what the command wrote to both streams.
func runWith(ctx context.Context, s store.Store, args ...string) (int, string) {
	var out strings.Builder
	code := app.Main(ctx, args, app.Options{In: strings.NewReader(""), Out: &out, Err: &out, Getenv: func(string) string { return "" },
		Now: time.Now, Who: "alice@desk", Open: func(consul.Config) (store.Store, error) { return s, nil }})
	return code, out.String()
}

func TestReconcileSource_NamesWhatItWaitsFor(t *testing.T) {
	code, out := runWith(t.Context(), led(t), "reconcile", "source", "default", "--timeout", "3s")
	if code != 1 || !strings.Contains(out, "gave up after 3s (--timeout)") || !strings.Contains(out, "source default") ||
		!strings.Contains(out, "upgrade-controller on a") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// ended is a context whose deadline cannot be reached in a test: it ends when the command begins to wait.
type ended struct {
	store.Store
	cancel context.CancelFunc
}

func (e *ended) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	result, err := e.Store.Txn(ctx, ops)
	e.cancel()
	return result, err
}

func TestReconcileSource_HasALimitOfItsOwn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if code, out := runWith(ctx, &ended{led(t), cancel}, "reconcile", "source", "default"); code == 0 || !strings.Contains(out, "waiting up to 1m10s for ") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestReconcileSource_EndsWhenALaterRequestIsHandled(t *testing.T) {
	s := led(t)
	replaced := &replacing{Store: s, t: t}
	if code, out := runWith(t.Context(), replaced, "reconcile", "source", "default"); code != 0 || !strings.Contains(out, "source/default synced") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// replacing is a store in which a webhook replaces each request, and whose leader handles that one.
type replacing struct {
	store.Store
	t *testing.T
}

func (r *replacing) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	result, err := r.Store.Txn(ctx, ops)
	if _, err := gitsync.RequestSync(ctx, r.Store, "default", gitsync.Request{ID: "webhook", By: "webhook"}); err != nil {
		r.t.Error(err)
	}
	put(r.t, r.Store, keys.Source("default"), `{"source":{"name":"default"},"handledRequest":"webhook","handledNumber":2}`)
	return result, err
}

func TestReconcileSource_FailsIfTheAcceptedCommitIsNotApplied(t *testing.T) {
	const commit = "0123456789012345678901234567890123456789"
	s := &dropping{Store: led(t), t: t}
	code, out := runWith(t.Context(), s, "reconcile", "source", "default", "--accept", commit)
	if code != 1 || !strings.Contains(out, "AcceptDropped: not offered") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// dropping is a store whose leader handles a request without the accepted commit.
type dropping struct {
	store.Store
	t *testing.T
}

func (d *dropping) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	result, err := d.Store.Txn(ctx, ops)
	put(d.t, d.Store, keys.Source("default"), `{"source":{"name":"default"},"handledRequest":"x","handledNumber":1,
		"events":[{"number":1,"type":"Warning","reason":"AcceptDropped","message":"not offered"}]}`)
	return result, err
}

func TestReconcileSource_RefusesToReplaceAPendingAccept(t *testing.T) {
	s := led(t)
	const pending = "0123456789012345678901234567890123456789"
	put(t, s, keys.Request("default"), `{"id":"1","by":"bob@desk","accept":"`+pending+`","number":1}`)
	code, out := runWith(t.Context(), s, "reconcile", "source", "default", "--accept", strings.Repeat("a", 40))
	if code != 1 || !strings.Contains(out, pending) || !strings.Contains(out, "bob@desk") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestDiffSource_WarnsOfCommitsThatTheControllerRefuses(t *testing.T) {
	git := gittest.New(t)
	git.Commit("fleet.yaml", "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: fleet}\nspec: {version: v1}\n")
	s := led(t)
	put(t, s, keys.Source("default"), fmt.Sprintf(`{"source":{"name":"default","url":%q,"verify":{"allowedSigners":["/k"]}},"base":%q}`,
		git.URL(), strings.Repeat("a", 40)))
	code, out := runWith(t.Context(), s, "diff", "--source", "default")
	if code != 1 || strings.Count(out, "warning: the next sync will not apply these plans: ") != 2 ||
		!strings.Contains(out, ".upgrade-source.yaml does not exist") || !strings.Contains(out, git.Head()) || !strings.Contains(out, "version: v1") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}
