// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import "slices"

// shrink removes events of a failing scenario, as long as the same rule is broken without them: at first half of them, then smaller
// parts, and at last one by one (delta debugging). It takes at most a number of steps.
func shrink(s scenario, rule string, steps int, execute func(scenario) result) scenario {
	fails := func(candidate scenario) bool {
		r := execute(candidate)
		steps -= r.steps
		return r.rule == rule
	}
	for size := len(s.Events); size > 0 && steps > 0; {
		removed := false
		for from := 0; from < len(s.Events) && steps > 0; {
			if smaller := s.without(from, min(from+size, len(s.Events))); fails(smaller) {
				s, removed = smaller, true
			} else {
				from += size
			}
		}
		if size == 1 && !removed {
			break
		}
		size = max(size/2, 1)
	}
	return s
}

// without returns the scenario without some events.
func (s scenario) without(from, to int) scenario {
	s.Events = slices.Concat(s.Events[:from], s.Events[to:])
	return s
}
