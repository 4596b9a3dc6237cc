// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipeline is the upgrade of a host as a row of steps: a hook, the facts and the package sources of the version,
// apt, Puppet, and scripts that validate.
//
// A journal on disk says which step runs. After a crash the next run goes on with that step; what was done before it is not
// done again. After a step that failed all is done anew.
package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
)

// Step is one step. Run is given the same version as all others are.
type Step struct {
	// Name is unique in its pipeline.
	Name string
	Run  agent.Step
}

// Entry is what the journal holds: the change under way and the step of it that runs.
type Entry struct {
	Version string `json:"version"`
	From    string `json:"from,omitempty"`
	Step    string `json:"step"`
	// Steps are the names of all, in order: another configuration begins anew.
	Steps []string `json:"steps"`
}

// Journal keeps one entry. What was saved lasts.
type Journal interface {
	// Load finds the entry; ok is false when there is none.
	Load() (entry Entry, ok bool, err error)
	Save(entry Entry) error
	Clear() error
}

// Pipeline is a row of steps.
type Pipeline struct {
	Steps   []Step
	Journal Journal
	// Ended is told how each step ended that was not interrupted; nil: nobody is.
	Ended func(ctx context.Context, c agent.Change, step, says string, err error)
	// Log is optional.
	Log logr.Logger
}

// Run is an agent.Step: it brings the host to the version step by step. The first that fails ends it.
func (p *Pipeline) Run(ctx context.Context, change agent.Change) (says string, err error) {
	names := p.names()
	for _, step := range p.Steps[p.first(change, names):] {
		entry := Entry{Version: change.To, From: change.From, Step: step.Name, Steps: names}
		if err := p.Journal.Save(entry); err != nil {
			return "", fmt.Errorf("journal: %w", err)
		}
		p.Log.Info("step", "step", step.Name, "to", change.To)
		says, err := step.Run(ctx, change)
		if ctx.Err() != nil { // interrupted: the journal stays
			return says, ctx.Err()
		}
		if p.Ended != nil {
			p.Ended(ctx, change, step.Name, says, err)
		}
		if err != nil {
			return says, p.failed(step.Name, err)
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

// first is the place of the step to begin with: the one that was interrupted, if it was of this very change.
func (p *Pipeline) first(change agent.Change, names []string) int {
	entry, ok, err := p.Journal.Load()
	if err != nil {
		p.Log.Error(err, "the journal cannot be read: all steps are run")
	}
	if !ok || entry.Version != change.To || entry.From != change.From || !slices.Equal(entry.Steps, names) {
		return 0
	}
	at := max(0, slices.Index(names, entry.Step))
	p.Log.Info("goes on where it was interrupted", "step", names[at], "to", change.To)
	return at
}

func (p *Pipeline) names() []string {
	names := make([]string, len(p.Steps))
	for i, step := range p.Steps {
		names[i] = step.Name
	}
	return names
}
