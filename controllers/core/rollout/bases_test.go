// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

func TestBasesPrecedeGrants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, _ := anyWorld(t)
		f, d := w.observe(), w.decide()
		bases := rollout.Bases(w.input(&f))
		for i, v := range d.Verdicts {
			want := v.Base
			if v.Reason == v1alpha1.ReasonStarting {
				want = rollout.Pending
			}
			// A host that waits for its next attempt, and may begin it now, can be enabled already.
			if m := f.Hosts[i].Started; m != nil && m.Waiting && bases[i] == rollout.Upgrading {
				want = rollout.Upgrading
			}
			if bases[i] != want {
				t.Fatalf("%s is %s, not %s\n%s", v.Host, bases[i], want, verdictLines(d))
			}
		}
	})
}
