// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// machineID is a fake Machine.
type machineID string

func (m machineID) ID() (string, error) { return string(m), nil }

// The identifiers of the machines of the tests.
const (
	machineA = machineID("aaaa0000000040008000000000000000")
	machineB = machineID("bbbb0000000040008000000000000000")
	machineC = machineID("cccc0000000040008000000000000000")
)

// bench2 returns a machine with the host name of b, its store and its clock.
func bench2(b *bench, id machineID, local string) *bench {
	b.t.Helper()
	other := &bench{t: b.t, clock: b.clock, store: b.store, file: &MemoryVersion{version: local}, machine: id}
	other.restart()
	return other
}

func newMachine(t tb, id machineID, local string) *bench {
	b := newBench(t, local)
	b.machine = id
	b.restart()
	return b
}

// passes lets each machine run a pass a minute.
func passes(d time.Duration, machines ...*bench) {
	b := machines[0]
	for end := b.clock.now.Add(d); b.clock.now.Before(end); b.clock.now = b.clock.now.Add(time.Minute) {
		for _, m := range machines {
			m.once()
		}
	}
}

// writes counts the changes of the host's own keys during a function.
func (b *bench) writes(f func()) uint64 {
	b.t.Helper()
	b.set("counter", "before")
	before := b.pairs()["counter"].ModifyIndex
	f()
	b.set("counter", "after")
	return b.pairs()["counter"].ModifyIndex - before - 1
}

func TestAgent_TwoMachinesUnderOneNameAreReportedOnce(t *testing.T) {
	a := newMachine(t, machineA, "v1")
	a.switchTo("v2")
	a.once()
	b := bench2(a, machineB, "v0")
	passes(2*time.Minute, a, b)

	r := a.report()
	if r.Machine != string(machineA) || r.Other.Machine != string(machineB) || !r.Other.Duplicate || r.Version != "v1" ||
		r.Phase != fleet.PhaseRefused || r.Reason != "Duplicate" || !strings.Contains(r.Message, "web1 is reported by two machines (aaaa…, bbbb…)") {
		t.Errorf("%+v", r)
	}
	a.wantOwn("running/versions/v1/web1", reportKey)

	// For a day, neither uses a grant, the rest of the report stays, and each machine writes at most once in claimEvery.
	a.grantOnce("v2", "1.4")
	n := a.writes(func() {
		for range 24 {
			passes(time.Hour, a, b)
			got := a.report()
			got.Other = r.Other
			if got != r {
				t.Fatalf("the report changed to %+v", got)
			}
		}
	})
	if limit := uint64(2 * 24 * time.Hour / claimEvery); n > limit {
		t.Errorf("%d writes, want at most %d", n, limit)
	}
	if len(a.changes)+len(b.changes) != 0 {
		t.Errorf("changes %+v %+v", a.changes, b.changes)
	}
	a.wantReason(permission.Duplicate)
	b.wantReason(permission.Duplicate)
}

func TestAgent_GoesOnWhenTheOtherMachineIsGone(t *testing.T) {
	for name, survivor := range map[string]machineID{"the first stays": machineA, "the second stays": machineB} {
		t.Run(name, func(t *testing.T) {
			a := newMachine(t, machineA, "v1")
			a.once()
			b := bench2(a, machineB, "v0")
			a.switchTo("v2")
			passes(time.Hour, a, b)
			a.grantOnce("v2", "1.4")
			stays := a
			if survivor == machineB {
				stays = b
			}
			passes(silentAfter-claimEvery-2*time.Minute, stays) // the other one claimed or answered up to claimEvery before
			if len(stays.changes) != 0 {
				t.Errorf("started before the other machine was silent for long enough: %+v", stays.changes)
			}
			passes(2*claimEvery+4*time.Minute, stays)
			if len(stays.changes) != 1 {
				t.Errorf("changes %+v, report %+v", stays.changes, a.report())
			}
			if r := a.report(); r.Machine != string(survivor) || r.Other != (fleet.OtherMachine{}) || r.Phase != fleet.PhaseIdle {
				t.Errorf("%+v", r)
			}
			a.wantOwn("running/versions/v2/web1", reportKey)
		})
	}
}

// A host that is installed again has a new machine id, and no version.
func TestAgent_AReinstalledHostIsNoDuplicate(t *testing.T) {
	a := newMachine(t, machineA, "v1")
	a.switchTo("v2")
	a.once()
	b := bench2(a, machineB, "")
	a.grantOnce("v2", "1.4")
	for b.clock.now.Before(noon.Add(claimWait)) {
		b.wantReason(permission.OtherMachine)
		if r := a.report(); r.Machine != string(machineA) || r.Phase != fleet.PhaseIdle || r.Other.Duplicate {
			t.Fatalf("%+v", r)
		}
		b.clock.now = b.clock.now.Add(time.Minute)
	}
	b.once()
	b.wantReason(permission.Granted)
	b.wantOwn("running/versions/v2/web1", reportKey)
	if r := a.report(); r.Machine != string(machineB) || r.Other != (fleet.OtherMachine{}) || r.Phase != fleet.PhaseIdle {
		t.Errorf("%+v", r)
	}
	// The machine that had the name before comes back.
	a.file = &MemoryVersion{version: "v1"}
	passes(3*time.Minute, a, b)
	if r := b.report(); !r.Other.Duplicate || r.Machine != string(machineB) || r.Version != "v2" {
		t.Errorf("%+v", r)
	}
}

// A machine cannot answer while its step runs. The other one must not resume its change meanwhile.
func TestAgent_AnotherMachineDoesNotResumeAChange(t *testing.T) {
	a := newMachine(t, machineA, "v1")
	b := bench2(a, machineB, "v1")
	a.switchTo("v2")
	a.set(enableHost, "True")
	a.grantOnce("v2", "1.4")
	a.step = func(context.Context, Change) (string, error) {
		passes(startedWait-time.Minute, b)
		return "", nil
	}
	a.once()
	if len(b.changes) != 0 {
		t.Errorf("changes %+v", b.changes)
	}
	a.wantOwn("running/versions/v2/web1", "upgrade.jiocloud.com/hosts/web1")
	if r := a.report(); r.Version != "v2" || r.Reason != "Duplicate" || r.Machine != string(machineA) {
		t.Errorf("%+v", r)
	}
}

// The host that has started may finish, as on hold, and only the machine that started it.
func TestAgent_DuplicateResumesItsOwnStart(t *testing.T) {
	a := newMachine(t, machineA, "v1")
	b := bench2(a, machineB, "v1")
	a.switchTo("v2")
	a.set(enableHost, "True")
	a.grantOnce("v2", "1.4")
	ctx, stop := context.WithCancel(t.Context())
	a.step = func(context.Context, Change) (string, error) { stop(); return "", ctx.Err() }
	if _, err := a.agent.Once(ctx); err == nil {
		t.Fatal("not interrupted")
	}
	b.once()
	a.step = nil
	a.restart()
	a.wantReason(permission.Resuming)
	b.wantReason(permission.Duplicate)
	if len(b.changes) != 0 {
		t.Errorf("changes %+v", b.changes)
	}
}

// A machine without an id takes part as agents of earlier releases do.
func TestAgent_WithoutMachineID(t *testing.T) {
	old := newBench(t, "v1")
	old.once()
	if value := string(old.pairs()[reportKey].Value); strings.Contains(value, "achine") {
		t.Errorf("%s", value)
	}
	b := bench2(old, machineB, "v1") // the agent was upgraded
	b.once()
	if r := b.report(); r.Machine != string(machineB) || r.Phase != fleet.PhaseIdle {
		t.Errorf("%+v", r)
	}
	old.once() // and downgraded
	if r := b.report(); r.Machine != "" || r.Phase != fleet.PhaseIdle {
		t.Errorf("%+v", r)
	}
}

// At any order of passes, with any clocks, no machine starts while all run, and the last one goes on. Of three machines the
// report names two: a third is noticed when one of them is gone.
func TestAgent_AnyMachinesUnderOneName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newMachine(t, machineA, "v1")
		a.switchTo("v2")
		a.once()
		machines := []*bench{a}
		for _, id := range []machineID{machineB, machineC}[:rapid.IntRange(1, 2).Draw(t, "others")] {
			m := bench2(a, id, "v1")
			m.clock = &clock{now: noon.Add(time.Duration(rapid.IntRange(-10, 10).Draw(t, "skew")) * time.Hour)}
			m.restart()
			machines = append(machines, m)
		}
		rounds := func(n int) {
			for range n {
				for _, i := range rapid.Permutation([]int{0, 1, 2}[:len(machines)]).Draw(t, "order") {
					machines[i].once()
					for _, m := range machines {
						m.clock.now = m.clock.now.Add(20 * time.Second)
					}
				}
			}
		}
		slices.Reverse(machines) // the others look before the first one finds the grant
		rounds(1)
		all := len(machines)
		a.grantOnce("v2", "1.4")
		for len(machines) > 1 {
			rounds(rapid.IntRange(1, 40).Draw(t, "rounds"))
			for _, m := range machines {
				if len(m.changes) > 0 && len(machines) == all {
					t.Fatalf("%s started, and %d machines run: %+v", m.machine, len(machines), a.report())
				}
			}
			i := rapid.IntRange(0, len(machines)-1).Draw(t, "gone")
			machines = slices.Delete(machines, i, i+1)
		}
		a.grantOnce("v2", "1.5")
		rounds(150)
		if len(machines[0].changes) != 1 {
			t.Fatalf("%s does not go on: %+v", machines[0].machine, a.report())
		}
	})
}

func TestMachineIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine-id")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if id, err := MachineIDFile(path).ID(); id != "" || err != nil {
		t.Errorf("missing file: %q %v", id, err)
	}
	write("00112233445566778899aabbccddeeff\n")
	const want = "d7995b8a93814cfeb2e04aeccb876e5b"
	if id, err := MachineIDFile(path).ID(); id != want || err != nil {
		t.Errorf("%q %v, want %q", id, err, want)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write("uninitialized\n")
	if id, err := MachineIDFile(path).ID(); id != "" || err != nil {
		t.Errorf("uninitialized: %q %v", id, err)
	}
}

// The same machine has the same id for systemd.
func TestMachineIDFile_AgreesWithSystemd(t *testing.T) {
	testtool.Need(t, "systemd-id128")
	id, err := SystemMachineID.ID()
	if err != nil {
		t.Fatal(err)
	}
	testtool.NeedCondition(t, id != "", "machine-id, which systemd-machine-id-setup makes")
	out, err := exec.Command("systemd-id128", "machine-id", "--app-specific="+applicationID).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(out)); id != want {
		t.Errorf("%s, want %s", id, want)
	}
}
