// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
)

// Step is one step. All steps of a run get the same version.
type Step struct {
	// Name is unique in its pipeline.
	Name string
	Run  agent.Step
	// Check returns why Run would fail, without running anything: a program, manifest or directory that is missing or that untrusted
	// users can change, or a wrong template. Nil means that there is nothing to check.
	Check func() error
}

// Entry is the content of the journal: the change in progress and the step that runs.
type Entry struct {
	Version string `json:"version"`
	From    string `json:"from,omitempty"`
	Step    string `json:"step"`
	// Steps are the names of all steps in order. When the configuration has others, the pipeline starts again.
	Steps []string `json:"steps"`
}

// Journal stores one entry. Save returns without an error only when the entry is stored.
type Journal interface {
	// Load returns the entry. ok is false when there is none.
	Load() (entry Entry, ok bool, err error)
	Save(entry Entry) error
	Clear() error
}

// Pipeline is a sequence of steps.
type Pipeline struct {
	Steps   []Step
	Journal Journal
	// StepEnded is called with the result of each step that was not interrupted. It is optional.
	StepEnded func(ctx context.Context, c agent.Change, step, output string, err error)
	// Log is optional.
	Log logr.Logger
}

// Run runs the steps in order until one fails. It is an agent.Step.
func (p *Pipeline) Run(ctx context.Context, change agent.Change) (output string, err error) {
	names := p.names()
	for _, step := range p.Steps[p.first(change, names):] {
		entry := Entry{Version: change.To, From: change.From, Step: step.Name, Steps: names}
		if err := p.Journal.Save(entry); err != nil {
			return "", fmt.Errorf("journal: %w", err)
		}
		p.Log.Info("step", "step", step.Name, "to", change.To)
		output, err := step.Run(ctx, change)
		if ctx.Err() != nil { // interrupted: keep the journal
			return output, ctx.Err()
		}
		if p.StepEnded != nil {
			p.StepEnded(ctx, change, step.Name, output, err)
		}
		if err != nil {
			return output, p.failed(step.Name, err)
		}
	}
	if err := p.Journal.Clear(); err != nil {
		return "", fmt.Errorf("journal: %w", err)
	}
	return "", nil
}

func (p *Pipeline) failed(step string, err error) error {
	err = fmt.Errorf("%s: %w", step, err)
	if cleared := p.Journal.Clear(); cleared != nil {
		return fmt.Errorf("%w (journal: %w)", err, cleared)
	}
	return err
}

// first returns the index of the first step to run: the interrupted one, if it belongs to the same change and configuration.
func (p *Pipeline) first(change agent.Change, names []string) int {
	entry, ok, err := p.Journal.Load()
	if err != nil {
		p.Log.Error(err, "cannot read the journal; running all steps")
	}
	if !ok || entry.Version != change.To || entry.From != change.From || !slices.Equal(entry.Steps, names) {
		return 0
	}
	at := max(0, slices.Index(names, entry.Step))
	p.Log.Info("resuming an interrupted change", "step", names[at], "to", change.To)
	return at
}

func (p *Pipeline) names() []string {
	names := make([]string, len(p.Steps))
	for i, step := range p.Steps {
		names[i] = step.Name
	}
	return names
}
