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

// line is a pipeline of steps a, b and c, whose journal is a file, and what was run of it.
type line struct {
	t       *testing.T
	journal atomicfile.State[pipeline.Entry]
	// act is what a step does; nil: it succeeds.
	act func(step string) (string, error)
	// ran are the steps that were run, and ended those that ended.
	ran, ended []string
	names      []string
}

func newLine(t *testing.T) *line {
	return &line{t: t, journal: atomicfile.State[pipeline.Entry](filepath.Join(t.TempDir(), "journal")), names: []string{"a", "b", "c"}}
}

func (l *line) run(ctx context.Context, c agent.Change) (string, error) {
	l.ran, l.ended = nil, nil
	p := pipeline.Pipeline{Journal: l.journal, Ended: func(_ context.Context, c agent.Change, step, _ string, err error) {
		l.ended = append(l.ended, fmt.Sprintf("%s %s %v", step, c.To, err))
	}}
	for _, name := range l.names {
		p.Steps = append(p.Steps, pipeline.Step{Name: name, Run: func(context.Context, agent.Change) (string, error) {
			l.ran = append(l.ran, name)
			if l.act == nil {
				return "", nil
			}
			return l.act(name)
		}})
	}
	return p.Run(ctx, c)
}

func (l *line) want(ran ...string) {
	l.t.Helper()
	if !slices.Equal(l.ran, ran) {
		l.t.Errorf("ran %v, want %v", l.ran, ran)
	}
}

// killed runs the pipeline until a step is killed with the process.
func (l *line) killed(at string) {
	l.act = func(step string) (string, error) {
		if step == at {
			panic("killed")
		}
		return "", nil
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = l.run(l.t.Context(), change)
		l.t.Error("was not killed")
	}()
	l.act = nil
}

func TestStepsAreRunInOrder(t *testing.T) {
	l := newLine(t)
	if says, err := l.run(t.Context(), change); says != "" || err != nil {
		t.Errorf("%q %v", says, err)
	}
	l.want("a", "b", "c")
	if want := []string{"a v2 <nil>", "b v2 <nil>", "c v2 <nil>"}; !slices.Equal(l.ended, want) {
		t.Errorf("ended %v", l.ended)
	}
	if _, ok, err := l.journal.Load(); ok || err != nil {
		t.Errorf("the journal is left: %v %v", ok, err)
	}
}

func TestAStepThatIsKilledIsRunAgainAndNoneBeforeIt(t *testing.T) {
	for _, at := range []string{"a", "b", "c"} {
		l := newLine(t)
		l.killed(at)
		if _, err := l.run(t.Context(), change); err != nil {
			t.Error(err)
		}
		l.want(l.names[slices.Index(l.names, at):]...)
		_, _ = l.run(t.Context(), change)
		l.want("a", "b", "c")
	}
}

func TestWhatWasInterruptedIsNotTakenForAnotherChange(t *testing.T) {
	for name, prepare := range map[string]func(l *line, c *agent.Change){
		"another version":       func(_ *line, c *agent.Change) { c.To = "v3" },
		"from another":          func(_ *line, c *agent.Change) { c.From = "v0" },
		"another configuration": func(l *line, _ *agent.Change) { l.names = []string{"x", "b", "c"} },
		"a journal that is torn": func(l *line, _ *agent.Change) {
			if err := os.WriteFile(string(l.journal), []byte(`{"version":"v2","st`), 0o600); err != nil {
				l.t.Fatal(err)
			}
		},
	} {
		l, c := newLine(t), change
		l.killed("c")
		prepare(l, &c)
		if _, err := l.run(t.Context(), c); err != nil || len(l.ran) != 3 {
			t.Errorf("%s: ran %v (%v)", name, l.ran, err)
		}
	}
}

func TestAStepThatFailsEndsAllAndTheNextAttemptBeginsAnew(t *testing.T) {
	l := newLine(t)
	broken := errors.New("exit status 3")
	l.act = func(step string) (string, error) {
		if step == "b" {
			return "no space left", broken
		}
		return "", nil
	}
	says, err := l.run(t.Context(), change)
	if says != "no space left" || !errors.Is(err, broken) || err.Error() != "b: exit status 3" {
		t.Errorf("%q %v", says, err)
	}
	l.want("a", "b")
	if want := []string{"a v2 <nil>", "b v2 exit status 3"}; !slices.Equal(l.ended, want) {
		t.Errorf("ended %v", l.ended)
	}
	l.act = nil
	_, _ = l.run(t.Context(), change)
	l.want("a", "b", "c")
}

func TestAStepThatIsStoppedIsResumedAndHasNotEnded(t *testing.T) {
	l := newLine(t)
	ctx, stop := context.WithCancel(t.Context())
	l.act = func(step string) (string, error) {
		if step == "b" {
			stop()
			return "", ctx.Err()
		}
		return "", nil
	}
	if _, err := l.run(ctx, change); !errors.Is(err, context.Canceled) || len(l.ended) != 1 {
		t.Errorf("%v, ended %v", err, l.ended)
	}
	l.act = nil
	_, _ = l.run(t.Context(), change)
	l.want("b", "c")
}

func TestNothingIsRunThatTheJournalCannotTellOf(t *testing.T) {
	l := newLine(t)
	l.journal = atomicfile.State[pipeline.Entry](filepath.Join(t.TempDir(), "none", "journal"))
	if _, err := l.run(t.Context(), change); err == nil || !strings.HasPrefix(err.Error(), "journal: ") || len(l.ran) > 0 {
		t.Errorf("%v, ran %v", err, l.ran)
	}
}
