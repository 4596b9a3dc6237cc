// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/agent/atomicfile"
	"github.com/jiocloud/upgrade-controller/controllers/agent/pipeline"
)

var change = agent.Change{Host: "web1", Role: "web", From: "v1", To: "v2"}

// fixture is a pipeline of the steps a, b and c with a journal on disk.
type fixture struct {
	t       *testing.T
	journal atomicfile.State[pipeline.Entry]
	// runStep runs a step. Nil means that it succeeds.
	runStep func(step string) (string, error)
	// ran has the steps that ran, and ended those that ended.
	ran, ended []string
	names      []string
}

func newFixture(t *testing.T) *fixture {
	return &fixture{t: t, journal: atomicfile.State[pipeline.Entry](filepath.Join(t.TempDir(), "journal")), names: []string{"a", "b", "c"}}
}

func (f *fixture) run(ctx context.Context, c agent.Change) (string, error) {
	f.ran, f.ended = nil, nil
	p := pipeline.Pipeline{Journal: f.journal, StepEnded: func(_ context.Context, c agent.Change, step, _ string, err error) {
		f.ended = append(f.ended, fmt.Sprintf("%s %s %v", step, c.To, err))
	}}
	for _, name := range f.names {
		p.Steps = append(p.Steps, pipeline.Step{Name: name, Run: func(context.Context, agent.Change) (string, error) {
			f.ran = append(f.ran, name)
			if f.runStep == nil {
				return "", nil
			}
			return f.runStep(name)
		}})
	}
	return p.Run(ctx, c)
}

func (f *fixture) want(ran ...string) {
	f.t.Helper()
	if !slices.Equal(f.ran, ran) {
		f.t.Errorf("ran %v, want %v", f.ran, ran)
	}
}

// runKilled runs the pipeline until the process is killed during a step.
func (f *fixture) runKilled(at string) {
	f.runStep = func(step string) (string, error) {
		if step == at {
			panic("killed")
		}
		return "", nil
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = f.run(f.t.Context(), change)
		f.t.Error("the process was not killed")
	}()
	f.runStep = nil
}

func TestRun_InOrder(t *testing.T) {
	f := newFixture(t)
	if output, err := f.run(t.Context(), change); output != "" || err != nil {
		t.Errorf("%q %v", output, err)
	}
	f.want("a", "b", "c")
	if want := []string{"a v2 <nil>", "b v2 <nil>", "c v2 <nil>"}; !slices.Equal(f.ended, want) {
		t.Errorf("ended %v", f.ended)
	}
	if _, ok, err := f.journal.Load(); ok || err != nil {
		t.Errorf("the journal was not deleted: %v %v", ok, err)
	}
}

func TestRun_ContinuesWithTheStepThatWasKilled(t *testing.T) {
	for _, at := range []string{"a", "b", "c"} {
		f := newFixture(t)
		f.runKilled(at)
		if _, err := f.run(t.Context(), change); err != nil {
			t.Error(err)
		}
		f.want(f.names[slices.Index(f.names, at):]...)
		_, _ = f.run(t.Context(), change)
		f.want("a", "b", "c")
	}
}

func TestRun_StartsAgainForAnotherChange(t *testing.T) {
	for name, prepare := range map[string]func(f *fixture, c *agent.Change){
		"another version":       func(_ *fixture, c *agent.Change) { c.To = "v3" },
		"from another version":  func(_ *fixture, c *agent.Change) { c.From = "v0" },
		"another configuration": func(f *fixture, _ *agent.Change) { f.names = []string{"x", "b", "c"} },
		"a damaged journal": func(f *fixture, _ *agent.Change) {
			if err := os.WriteFile(string(f.journal), []byte(`{"version":"v2","st`), 0o600); err != nil {
				f.t.Fatal(err)
			}
		},
	} {
		f, c := newFixture(t), change
		f.runKilled("c")
		prepare(f, &c)
		if _, err := f.run(t.Context(), c); err != nil || len(f.ran) != 3 {
			t.Errorf("%s: ran %v (%v)", name, f.ran, err)
		}
	}
}

func TestRun_StartsAgainAfterAFailure(t *testing.T) {
	f := newFixture(t)
	broken := errors.New("exit status 3")
	f.runStep = func(step string) (string, error) {
		if step == "b" {
			return "no space left", broken
		}
		return "", nil
	}
	output, err := f.run(t.Context(), change)
	if output != "no space left" || !errors.Is(err, broken) || err.Error() != "b: exit status 3" {
		t.Errorf("%q %v", output, err)
	}
	f.want("a", "b")
	if want := []string{"a v2 <nil>", "b v2 exit status 3"}; !slices.Equal(f.ended, want) {
		t.Errorf("ended %v", f.ended)
	}
	f.runStep = nil
	_, _ = f.run(t.Context(), change)
	f.want("a", "b", "c")
}

func TestRun_ContinuesWithTheStepThatWasInterrupted(t *testing.T) {
	f := newFixture(t)
	ctx, stop := context.WithCancel(t.Context())
	f.runStep = func(step string) (string, error) {
		if step == "b" {
			stop()
			return "", ctx.Err()
		}
		return "", nil
	}
	if _, err := f.run(ctx, change); !errors.Is(err, context.Canceled) || len(f.ended) != 1 {
		t.Errorf("%v, ended %v", err, f.ended)
	}
	f.runStep = nil
	_, _ = f.run(t.Context(), change)
	f.want("b", "c")
}

func TestRun_RunsNothingWithoutAJournal(t *testing.T) {
	f := newFixture(t)
	f.journal = atomicfile.State[pipeline.Entry](filepath.Join(t.TempDir(), "none", "journal"))
	if _, err := f.run(t.Context(), change); err == nil || !strings.HasPrefix(err.Error(), "journal: ") || len(f.ran) > 0 {
		t.Errorf("%v, ran %v", err, f.ran)
	}
}
