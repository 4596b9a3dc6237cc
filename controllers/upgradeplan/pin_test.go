// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package upgradeplan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

func (f *fixture) undo(revision int64) planstore.Undone {
	f.t.Helper()
	did, err := planstore.Plans{Store: f.store}.Undo(f.ctx(), "fleet", planstore.Undo{Revision: revision,
		Pause: fleet.Pause{By: "me", Time: f.clock.Now()}})
	f.must(err)
	return did
}

func (f *fixture) wantVersion(want string) {
	f.t.Helper()
	f.reconcile()
	if got := string(f.get("current_version").Value); got != want {
		f.t.Errorf("current_version is %s, want %s", got, want)
	}
}

func spec(version string) string {
	return fmt.Sprintf("version: '%s'\nrevisionHistoryLimit: 2\ninstructions: {rollingRules: {global: 1}}", version)
}

func TestUndo_EndsWhenTheSpecChanges(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.hosts(true, "0", names("web", 3)...)
		f.apply(spec("1a"))
		f.apply(spec("2"))
		f.wantVersion("2")
		if did := f.undo(0); did.Revision != 1 || did.Version != "1a" || !did.Changed {
			t.Errorf("%+v", did)
		}
		f.wantVersion("1a")
		if outcome := f.apply(spec("2")); outcome != planstore.Unchanged {
			t.Errorf("the same spec is %s", outcome)
		}
		f.wantVersion("1a")
		if again := f.reconcile(); again.Written.Transactions != 0 || again.Status.PinnedRevision != 1 {
			t.Errorf("a second pass wrote %s, pinned is %d", again.Written, again.Status.PinnedRevision)
		}
		f.apply(spec("3"))
		f.wantVersion("3")
		f.apply(spec("2")) // undone once: it is not tried again by itself
		f.wantVersion("1a")
		f.undo(2) // the same spec as that which is stored
		f.wantVersion("2")
	})
}

func TestPin_IsStoppedByAPauseInTheSpec(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.hosts(true, "0", "web1")
		f.apply(spec("1a"))
		f.apply(spec("2") + "\npaused: true")
		if did := f.undo(1); !did.Paused {
			t.Errorf("%+v", did)
		}
		if v := verdict(t, f.reconcile(), "web1"); v.Reason != v1alpha1.ReasonPlanPaused {
			t.Errorf("%s: %s", v.Reason, v.Message)
		}
	})
}

// Labels are not part of a spec. They change the generation, and the pin and its revision stay.
func TestPin_KeepsItsRevision(t *testing.T) {
	onBoth(t, func(f *fixture) {
		f.hosts(true, "0", "web1")
		f.apply(spec("1a"))
		f.apply(spec("2"))
		f.undo(1)
		for i := range 6 {
			p := planOf(t, spec("2"))
			p.Labels = map[string]string{"n": fmt.Sprint(i)}
			_, _, err := planstore.Plans{Store: f.store}.Apply(f.ctx(), p, false)
			f.must(err)
		}
		f.wantVersion("1a")
		f.txn(store.Op{Verb: store.Delete, Key: keys.Plan("fleet").Revision(1)})
		before := f.indexes()
		r := f.reconcile()
		if v := verdict(t, r, "web1"); !r.Decision.ReadOnly || !strings.Contains(v.Message+r.Decision.Gate.Message, "revision 1 is pinned") {
			t.Errorf("%s: %s", v.Reason, v.Message)
		}
		for key, index := range f.indexes() {
			if before[key] != index {
				t.Errorf("%s was written", key)
			}
		}
	})
}

func TestUndo_RefusesUnknownRevisions(t *testing.T) {
	onMemory(t, func(f *fixture) {
		f.apply(spec("1a"))
		plans := planstore.Plans{Store: f.store}
		for name, want := range map[int64]string{0: "no earlier revision", 7: "there is no revision 7 (there are 1)"} {
			_, err := plans.Undo(f.ctx(), "fleet", planstore.Undo{Revision: name})
			if _, ok := errors.AsType[*planstore.UndoError](err); !ok || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v", err)
			}
		}
		if did := f.undo(1); did.Changed {
			t.Errorf("%+v", did)
		}
	})
}
