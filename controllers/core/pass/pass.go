// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/diff"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// maxDecisions bounds the decisions of one pass: a rollback, the switch to its version, a correction and the grants need four.
const maxDecisions = 8

// Run makes a pass. It calls step, which decides and writes what the decision changes, until a decision needs no other one or
// step fails. After a switch, a correction and a rollback the pass goes on; after a halt and after grants it ends.
func Run(step func() (*rollout.Decision, error)) error {
	for range maxDecisions {
		if d, err := step(); err != nil || !d.NeedsAnotherPass() {
			return err
		}
	}
	return nil
}

// Control returns the orders after a decision for the spec of a digest, which may halt the plan or roll it back.
func Control(c fleet.Control, d *rollout.Decision, digest string) fleet.Control {
	c.Halt = cmp.Or(d.Halt, c.Halt)
	if d.Rollback != nil {
		pin := *d.Rollback
		pin.Digest = digest
		c.Pin = &pin
	}
	return c
}

// Preview is what a pass would do.
type Preview struct {
	// Last is the last decision of the pass, and the snapshot that it was made from.
	Last *Assessment
	// Steps are the changes of each decision. Changes are all of them together.
	Steps   []diff.Changes
	Changes diff.Changes
}

// Preview makes a pass without a store. After a rollback, checks, nodes and the times of records that only the fallback needs
// are missing.
func (a *Assessment) Preview() Preview {
	p, after, index := Preview{Last: a}, a.Snapshot, a.Fleet.Index
	err := Run(func() (*rollout.Decision, error) {
		if len(p.Steps) > 0 {
			p.Last = Assess(after)
		}
		p.Steps = append(p.Steps, p.Last.Changes())
		index++
		after = p.Last.after(index)
		return &p.Last.Decision, nil
	})
	if err != nil {
		panic(err) // the step returns none
	}
	for len(p.Steps) > 0 && p.Steps[len(p.Steps)-1].Empty() {
		p.Steps = p.Steps[:len(p.Steps)-1]
	}
	p.Changes = diff.Compute(keys.Actual(a.Keys, a.Layout), keys.Actual(after.Keys, after.Layout))
	return p
}

// after returns the snapshot that a read would give after the decision was written at index.
func (a *Assessment) after(index uint64) Snapshot {
	next, d := a.Snapshot, &a.Decision
	if d.ReadOnly {
		return next
	}
	next.Keys = keys.Apply(a.Keys, a.Layout, a.Changes(), index)
	next.Keys.Ledger = d.Ledger
	next.Keys.Ledger.Counter++
	next.Watermarks = nil
	next.Control = Control(a.Control, d, a.Digest)
	if d.Rollback != nil {
		next.Plan, next.Fallback, next.Pinned = a.Fallback, nil, true
	}
	return next
}
