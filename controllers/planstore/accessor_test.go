// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// tokenStore is a store that is written with a token.
type tokenStore struct {
	planstore.Store
	accessor string
	err      error
}

func (s tokenStore) Accessor(context.Context) (string, error) { return s.accessor, s.err }

func TestOrders_CarryTheAccessorOfTheirToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		store func(planstore.Store) planstore.Store
		want  string
	}{
		"a token":                   {func(s planstore.Store) planstore.Store { return tokenStore{s, "6a12", nil} }, "6a12"},
		"an unreadable token":       {func(s planstore.Store) planstore.Store { return tokenStore{s, "", errors.New("denied")} }, ""},
		"a store without any token": {func(s planstore.Store) planstore.Store { return s }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tt.store(memory.New(time.Now))
			plans, holds := planstore.Plans{Store: s}, planstore.Holds{Store: s}
			apply(t, plans)
			order := fleet.Pause{By: "me", Time: time.Unix(1000, 0)}
			if changed, err := plans.SetPause(t.Context(), "fleet", &order); err != nil || !changed {
				t.Fatal(changed, err)
			}
			if pause, err := plans.Pause(t.Context(), "fleet"); err != nil || pause == nil || pause.Accessor != tt.want {
				t.Errorf("%+v, %v", pause, err)
			}
			if order.Accessor != "" {
				t.Error("the order of the caller was changed")
			}
			if _, err := plans.Resume(t.Context(), "fleet", planstore.Resumption{Pause: order, OverrideWindows: true}); err != nil {
				t.Fatal(err)
			}
			if _, err := plans.Abort(t.Context(), "fleet", order); err != nil {
				t.Fatal(err)
			}
			if _, err := holds.Set(t.Context(), fleet.Place{Name: "web1"}, fleet.Hold{Owner: "me"}); err != nil {
				t.Fatal(err)
			}
			pairs, _, err := s.Get(t.Context(), keys.Plan("fleet").Control(), keys.Layout{}.HoldFleet(),
				keys.Layout{}.Hold(fleet.Place{Name: "web1"}))
			if err != nil {
				t.Fatal(err)
			}
			control, err := keys.DecodeControl(pairs[0])
			if err != nil || control.Abort.Accessor != tt.want || control.Override.Accessor != tt.want {
				t.Errorf("%+v, %v", control, err)
			}
			for _, p := range pairs[1:] {
				if hold := keys.DecodeHold(p); hold == nil || hold.Accessor != tt.want {
					t.Errorf("%s: %+v", p.Key, hold)
				}
			}
		})
	}
}

func apply(t *testing.T, plans planstore.Plans) {
	t.Helper()
	all, err := manifest.Decode("plan.yaml", []byte(`
apiVersion: upgrade.jiocloud.com/v1alpha1
kind: UpgradePlan
metadata: {name: fleet}
spec: {version: v1}
`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := plans.Apply(t.Context(), all[0].Plan, false); err != nil {
		t.Fatal(err)
	}
}
