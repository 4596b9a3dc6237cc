// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// validateOrder rejects an order in which a role or group waits for itself, directly or indirectly. It only knows the roles
// that the plan names.
func validateOrder(in *v1alpha1.Instructions, all groups, at *field.Path) field.ErrorList {
	home := map[string]string{} // maps roles to their groups
	for _, name := range writtenNames(in) {
		if matched := all.of(name); len(matched) > 0 && !all.has(name) {
			home[name] = matched[0]
		}
	}
	var errs field.ErrorList
	waits := map[string][]string{}
	for _, name := range sortedKeys(in.RoleOrder) {
		for i, other := range in.RoleOrder[name] {
			if problem := waitsForItself(name, other, home); problem != "" {
				errs = append(errs, field.Invalid(at.Key(name).Index(i), other, problem))
				continue
			}
			waits[name] = append(waits[name], other)
		}
	}
	return append(errs, findCycles(waits, home, at)...)
}

func waitsForItself(name, other string, home map[string]string) string {
	isHomeOf := func(group, role string) bool {
		of, ok := home[role]
		return ok && of == group
	}
	switch {
	case name == other:
		return name + " waits for itself"
	case isHomeOf(other, name):
		return fmt.Sprintf("%s waits for its own group %s", name, other)
	case isHomeOf(name, other):
		return fmt.Sprintf("group %s waits for its member %s", name, other)
	}
	return ""
}

// event is the first start of a role or group, or its completion.
type event struct {
	name     string
	complete bool
}

// findCycles reports one cycle for each set of names that wait for each other: the shortest from the first name.
func findCycles(waits map[string][]string, home map[string]string, at *field.Path) field.ErrorList {
	members := map[string][]string{}
	for _, role := range sortedKeys(home) {
		members[home[role]] = append(members[home[role]], role)
	}
	// after returns the events that must happen before an event.
	after := func(e event) []event {
		var before []event
		if !e.complete {
			for _, other := range waits[e.name] {
				before = append(before, event{other, true})
			}
			if group, ok := home[e.name]; ok {
				before = append(before, event{group, false}) // members also wait for what their group waits for
			}
			return before
		}
		for _, member := range members[e.name] {
			before = append(before, event{member, true})
		}
		return append(before, event{e.name, false})
	}
	components := findComponents(waits, after)
	reported := map[int]bool{}
	var errs field.ErrorList
	for _, name := range sortedKeys(waits) {
		start := event{name, false}
		component, ok := components[start]
		if !ok || reported[component] {
			continue
		}
		reported[component] = true
		cycle := shortestCycle(start, after)
		errs = append(errs, field.Invalid(at.Key(name), field.OmitValueType{},
			"none of these could ever start: "+describeCycle(cycle, home)))
	}
	return errs
}

// findComponents numbers the strongly connected components of the events (Tarjan's algorithm). It leaves out events that are
// in no cycle.
func findComponents(waits map[string][]string, after func(event) []event) map[event]int {
	components := map[event]int{}
	reached, lowest := map[event]int{}, map[event]int{}
	var stack []event
	open := map[event]bool{}
	var visit func(event)
	visit = func(e event) {
		reached[e] = len(reached) + 1
		lowest[e] = reached[e]
		stack, open[e] = append(stack, e), true
		for _, next := range after(e) {
			if reached[next] == 0 {
				visit(next)
			}
			if open[next] {
				lowest[e] = min(lowest[e], lowest[next])
			}
		}
		if lowest[e] != reached[e] {
			return
		}
		first := slices.Index(stack, e)
		for _, member := range stack[first:] {
			open[member] = false
			if len(stack)-first > 1 {
				components[member] = reached[e]
			}
		}
		stack = stack[:first]
	}
	for _, name := range sortedKeys(waits) {
		if start := (event{name, false}); reached[start] == 0 {
			visit(start)
		}
	}
	return components
}

// shortestCycle returns the shortest path from an event back to itself, with both ends. Nil means that there is none.
func shortestCycle(from event, after func(event) []event) []event {
	cameFrom := map[event]event{}
	for queue := []event{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range after(queue[0]) {
			if _, seen := cameFrom[next]; seen {
				continue
			}
			cameFrom[next] = queue[0]
			if next != from {
				queue = append(queue, next)
				continue
			}
			cycle := []event{from}
			for e := cameFrom[from]; e != from; e = cameFrom[e] {
				cycle = append(cycle, e)
			}
			cycle = append(cycle, from)
			slices.Reverse(cycle)
			return cycle
		}
	}
	return nil
}

// describeCycle returns a → b → a. It adds the group of a role if the step to or from the role is through its group.
func describeCycle(cycle []event, home map[string]string) string {
	var names []string
	for i, e := range cycle {
		if i > 0 && cycle[i-1].name == e.name {
			continue
		}
		name := e.name
		if previous := i - 1; previous >= 0 && home[e.name] == cycle[previous].name {
			name += " (of " + cycle[previous].name + ")"
		} else if next := slices.IndexFunc(cycle[i:], func(n event) bool { return n.name != e.name }); next > 0 &&
			home[e.name] == cycle[i+next].name {
			name += " (of " + cycle[i+next].name + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " → ")
}
