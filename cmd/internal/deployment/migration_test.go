// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// previousRelease is the last commit whose agents and controllers know no grants.
const previousRelease = "00d52f394107517ac7610e17bdce09bdcf322ca4"

// previous is the folder of the programs of the previous release, in that of the present ones.
const previous = "previous"

// buildPrevious builds the programs of the previous release from the history of Git.
func buildPrevious(t *testing.T) {
	t.Helper()
	err := exec.Command("git", "-C", root, "cat-file", "-e", previousRelease).Run()
	testtool.NeedCondition(t, err == nil, "history of Git back to "+previousRelease)
	source := t.TempDir()
	archive, err := exec.Command("git", "-C", root, "archive", previousRelease).Output()
	if err != nil {
		t.Fatal(err)
	}
	unpack := exec.Command("tar", "-x", "-C", source)
	unpack.Stdin = bytes.NewReader(archive)
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(os.Getenv(binEnv), previous)+"/", "./cmd/upgradectl",
		"./cmd/upgrade-agent", "./cmd/upgrade-controller")
	build.Dir = source
	for _, cmd := range []*exec.Cmd{unpack, build} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
}

// During an upgrade of the product, controllers and agents of both releases work together. Each combination carries out rollouts to
// completion under the limit of one host.
func TestMigration_WorksInEachCombination(t *testing.T) {
	buildPrevious(t)
	for _, tt := range []struct {
		name              string
		oldReconciler     bool
		oldAgents, others []string // others are agents of this release
	}{
		{name: "controller and agents of the previous release", oldReconciler: true, oldAgents: []string{"web1", "web2", "web3"}},
		{name: "agents of the previous release", oldAgents: []string{"web1", "web2", "web3"}},
		{name: "a controller of the previous release", oldReconciler: true, others: []string{"web1", "web2", "web3"}},
		{name: "this release", others: []string{"web1", "web2", "web3"}},
		{name: "agents of both releases", oldAgents: []string{"web1", "web3"}, others: []string{"web2", "web4"}},
		{name: "agents of both releases, and a controller of the previous one", oldReconciler: true, oldAgents: []string{"web1", "web3"},
			others: []string{"web2", "web4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFleetOfFiles(t, slices.Concat(tt.oldAgents, tt.others)...)
			f.use(tt.oldReconciler, tt.oldAgents...)
			for _, version := range []string{"v1", "v2"} {
				f.apply(version, "")
				if most := f.complete(version); most > 1 {
					t.Errorf("%s: %d hosts changed at once, and the limit is 1", version, most)
				}
			}
		})
	}
}

// A rollout goes on while its controller and then its agents are upgraded, one after the other, and while the controller is
// downgraded again.
func TestMigration_GoesOnInTheMiddleOfARollout(t *testing.T) {
	buildPrevious(t)
	f := newFleetOfFiles(t, "web1", "web2", "web3", "web4", "web5", "web6")
	f.use(true, f.hosts...)
	f.apply("v1", "")
	f.complete("v1")
	f.apply("v2", "")
	steps := []func(){
		func() { f.use(false, f.hosts...) },                     // the controller first
		func() { f.use(false, "web2", "web3", "web5", "web6") }, // then agents
		func() { f.use(true, "web3", "web6") },                  // the controller goes back
		func() { f.use(false) },
	}
	before := f.once()
	for _, step := range steps {
		for range 2 {
			f.reconcile()
			after := f.once()
			if changed := differences(before, after); changed > 1 {
				t.Fatalf("%d hosts changed at once, and the limit is 1: %q, %q", changed, before, after)
			}
			before = after
		}
		step()
	}
	if most := f.complete("v2"); most > 1 {
		t.Errorf("%d hosts changed at once, and the limit is 1", most)
	}
	if upgraded := f.upgraded("v2"); upgraded != len(f.hosts) {
		t.Errorf("%d hosts are at v2", upgraded)
	}
}

func differences(before, after []string) (n int) {
	for i := range after {
		if after[i] != before[i] {
			n++
		}
	}
	return n
}
