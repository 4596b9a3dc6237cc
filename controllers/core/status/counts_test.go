// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/status"
)

func TestCountByRole_SortsRolesNaturally(t *testing.T) {
	d := &rollout.Decision{Verdicts: []rollout.Verdict{
		{Host: "a", Role: "web10", Base: rollout.Upgraded},
		{Host: "b", Role: "web2", Base: rollout.Upgrading, State: rollout.Failed},
		{Host: "c", Role: "web2", Base: rollout.Pending},
		{Host: "d", Base: rollout.Pending},
	}}
	roles, total := status.CountByRole(d)
	want := []status.Counts{{Pending: 1}, {Role: "web2", Upgrading: 1, Pending: 1}, {Role: "web10", Upgraded: 1}}
	if diff := cmp.Diff(want, roles); diff != "" || total != (status.Counts{Upgraded: 1, Upgrading: 1, Pending: 2}) {
		t.Errorf("total %+v, roles -want +got:\n%s", total, diff)
	}
}
