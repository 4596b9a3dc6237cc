// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"slices"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// seams revert fixes of the product, so that the referee must find the faults that they fix. Nil means that nothing is reverted.
type seams struct {
	// pairs changes what a process reads, and ops what it writes.
	pairs func(*process, []keys.Pair) []keys.Pair
	ops   func(*process, []store.Op) []store.Op
	// checks changes which checks a process reads.
	checks func([]fleet.Check) []fleet.Check
	// hides says that a process does not know a tree.
	hides func(*process, string) bool
	// options changes an agent.
	options func(*agent.Options)
	// sleepy says that a controller does not run a pass at the time that the last one asked for.
	sleepy bool
	// only is the one rule that is checked. Empty means all.
	only string
}

func (s seams) read(p *process, pairs []keys.Pair) []keys.Pair {
	if s.pairs == nil {
		return pairs
	}
	return s.pairs(p, pairs)
}

func (s seams) unhealthy(checks []fleet.Check) []fleet.Check {
	if s.checks == nil {
		return checks
	}
	return s.checks(checks)
}

func (s seams) write(p *process, ops []store.Op) []store.Op {
	if s.ops == nil {
		return ops
	}
	return s.ops(p, ops)
}

func (s seams) agent(o *agent.Options) {
	if s.options != nil {
		s.options(o)
	}
}

// without leaves out some of the operations of transactions.
func without(left func(*process, store.Op) bool) func(*process, []store.Op) []store.Op {
	return func(p *process, ops []store.Op) []store.Op {
		return slices.DeleteFunc(slices.Clone(ops), func(op store.Op) bool { return left(p, op) })
	}
}
