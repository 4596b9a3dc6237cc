// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	shared "github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

// completionTime is how long somebody who has pressed the tab key waits for Consul at most.
const completionTime = 2 * time.Second

// typing is a command line up to the word that is to be completed.
type typing struct {
	cmd  *cobra.Command
	args []string
	word string
}

// finder finds what the word may become. What it finds need not begin with the word: the rest is left out.
type finder func(ctx context.Context, t typing) ([]cobra.Completion, error)

// one completes as many arguments as there are finders, each by its own.
func (c *cli) one(finders ...finder) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(finders) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.offer(finders[len(args)])(cmd, args, word)
	}
}

// many is one, but for the last finder, which finds all arguments that follow, each of them once.
func (c *cli) many(finders ...finder) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		find := finders[min(len(args), len(finders)-1)]
		return c.offer(without(args, find))(cmd, args, word)
	}
}

// offer completes a word. Whatever fails leaves it as it is: $BASH_COMP_DEBUG_FILE names a file that is told why.
func (c *cli) offer(find finder) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		c.Err = io.Discard // warnings are for those who have pressed enter
		c.flags.consul.RetryFor = -1
		err := c.flags.complete()
		var found []cobra.Completion
		if err == nil {
			found, err = find(ctx, typing{cmd, args, word})
		}
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return fitting(found, word)
	}
}

// fitting are those that begin with the word. No space follows one that goes on.
func fitting(found []cobra.Completion, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	found = slices.DeleteFunc(found, func(one cobra.Completion) bool { return !strings.HasPrefix(one, word) })
	if slices.ContainsFunc(found, func(one cobra.Completion) bool { return goesOn(choiceOf(one)) }) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return found, directive
}

// goesOn says whether something is to follow, as in role/ and spec.windows.
func goesOn(choice string) bool {
	return strings.HasSuffix(choice, "/") || strings.HasSuffix(choice, ".")
}

// choiceOf is what is offered, without what is said of it.
func choiceOf(one cobra.Completion) string {
	choice, _, _ := strings.Cut(one, "\t")
	return choice
}

// without leaves out what has been given.
func without(given []string, find finder) finder {
	return func(ctx context.Context, t typing) ([]cobra.Completion, error) {
		found, err := find(ctx, t)
		return slices.DeleteFunc(found, func(one cobra.Completion) bool { return slices.Contains(given, choiceOf(one)) }), err
	}
}

// commas completes the last of several words that are joined by commas, each of them once.
func commas(find finder) finder {
	return func(ctx context.Context, t typing) ([]cobra.Completion, error) {
		before := t.word[:strings.LastIndex(t.word, ",")+1]
		t.word = strings.TrimPrefix(t.word, before)
		found, err := without(strings.Split(before, ","), find)(ctx, t)
		for i := range found {
			found[i] = before + found[i]
		}
		return found, err
	}
}

// words are always the same.
func words(list ...string) finder {
	return func(context.Context, typing) ([]cobra.Completion, error) { return slices.Clone(list), nil }
}

// planned are the plans, with their version and phase.
func (c *cli) planned(ctx context.Context, t typing) ([]cobra.Completion, error) {
	plans, _, err := c.plans()
	if err != nil {
		return nil, err
	}
	briefs, err := plans.Briefs(ctx, t.word)
	var found []cobra.Completion
	for _, b := range briefs {
		if !names.Segment(b.Name) {
			continue
		}
		if about := strings.TrimSpace(b.Version + " " + string(b.Phase)); about != "" {
			found = append(found, cobra.CompletionWithDesc(b.Name, oneLine(about)))
			continue
		}
		found = append(found, b.Name)
	}
	return found, err
}

// inFleet reads the names in the fleet that the command is about.
func (c *cli) inFleet(ctx context.Context, t typing) (upgradeplan.Names, error) {
	plan, s, err := c.planOrNone(ctx, t.plan())
	if err != nil {
		return upgradeplan.Names{}, err
	}
	return upgradeplan.ReadNames(ctx, s, plan, c.flags.layout)
}

// plan is what --plan says, where the command has it.
func (t typing) plan() string {
	if f := t.cmd.Flags().Lookup("plan"); f != nil {
		return f.Value.String()
	}
	return ""
}

func (c *cli) hostNames(ctx context.Context, t typing) ([]cobra.Completion, error) {
	found, err := c.inFleet(ctx, t)
	return found.Hosts, err
}

func (c *cli) roleNames(ctx context.Context, t typing) ([]cobra.Completion, error) {
	found, err := c.inFleet(ctx, t)
	return found.Roles, err
}

func (c *cli) versionNames(ctx context.Context, t typing) ([]cobra.Completion, error) {
	found, err := c.inFleet(ctx, t)
	return found.Versions, err
}

// roleOrGroupNames are the roles of the fleet, and the groups of its plan.
func (c *cli) roleOrGroupNames(ctx context.Context, t typing) ([]cobra.Completion, error) {
	plan, s, err := c.planOrNone(ctx, t.plan())
	if err != nil {
		return nil, err
	}
	found, err := upgradeplan.ReadNames(ctx, s, plan, c.flags.layout)
	if plan != nil {
		found.Roles = append(found.Roles, slices.Sorted(maps.Keys(plan.Spec.Instructions.GroupMappings))...)
	}
	slices.SortStableFunc(found.Roles, fleet.CompareNatural)
	return slices.Compact(found.Roles), err
}

// hostPlaces are host/NAME, and places role/NAME as well: first what stands before the slash, then the names.
func (c *cli) hostPlaces(ctx context.Context, t typing) ([]cobra.Completion, error) {
	return c.placesIn(ctx, t, fleet.ScopeHost)
}

func (c *cli) places(ctx context.Context, t typing) ([]cobra.Completion, error) {
	return c.placesIn(ctx, t, fleet.ScopeHost, fleet.ScopeRole)
}

func (c *cli) placesIn(ctx context.Context, t typing, scopes ...fleet.Scope) ([]cobra.Completion, error) {
	var found []cobra.Completion
	for _, scope := range scopes {
		before := scope.String() + "/"
		if !strings.HasPrefix(t.word, before) {
			found = append(found, before)
			continue
		}
		list, err := c.inFleet(ctx, t)
		if err != nil {
			return nil, err
		}
		of := list.Hosts
		if scope == fleet.ScopeRole {
			of = list.Roles
		}
		for _, name := range of {
			found = append(found, before+name)
		}
	}
	return found, nil
}

// namesInScope are the hosts or the roles, by the scope that stands on the line.
func (c *cli) namesInScope(ctx context.Context, t typing) ([]cobra.Completion, error) {
	if slices.Contains(t.args, fleet.ScopeRole.String()) {
		return c.roleNames(ctx, t)
	}
	return c.hostNames(ctx, t)
}

// objects are what events may be about, keys left out.
func (c *cli) objects(ctx context.Context, t typing) ([]cobra.Completion, error) {
	found, err := c.hostPlaces(ctx, t)
	return append(found, "plan"), err
}

// held are the hosts and roles that are on hold.
func (c *cli) held(ctx context.Context, t typing) ([]cobra.Completion, error) {
	l, s, err := c.layoutOf(ctx, t.plan())
	if err != nil {
		return nil, err
	}
	places, err := upgradeplan.Holds{Store: s, Layout: l}.Places(ctx)
	found := make([]cobra.Completion, len(places))
	for i, at := range places {
		found[i] = at.String()
	}
	return found, err
}

func (c *cli) sourceNames(ctx context.Context, _ typing) ([]cobra.Completion, error) {
	_, s, err := c.plans()
	if err != nil {
		return nil, err
	}
	var found []cobra.Completion
	list, _, err := s.Keys(ctx, keys.Sources, store.ExpectFew)
	for _, key := range list {
		if name := strings.TrimPrefix(key, keys.Sources); names.Segment(name) {
			found = append(found, name)
		}
	}
	return found, err
}

// revisions are those of the plan that stands on the line, or of the only one, with their versions.
func (c *cli) revisions(ctx context.Context, t typing) ([]cobra.Completion, error) {
	plans, _, err := c.plans()
	if err != nil {
		return nil, err
	}
	name, err := c.named(ctx, plans, t.args)
	if err != nil {
		return nil, err
	}
	kept, err := plans.Revisions(ctx, name)
	found := make([]cobra.Completion, len(kept))
	for i, r := range kept {
		found[i] = cobra.CompletionWithDesc(strconv.FormatInt(r.Generation, 10), r.Plan.Spec.Version)
	}
	return found, err
}

// awaitable are the conditions that --for takes; what each may be is offered once it stands there.
func awaitable(_ context.Context, t typing) ([]cobra.Completion, error) {
	var found []cobra.Completion
	for _, condition := range conditions() {
		text := "condition=" + condition
		if strings.HasPrefix(t.word, text+"=") {
			found = append(found, text+"=True", text+"=False")
		}
		found = append(found, text)
	}
	return found, nil
}

// fieldPaths are the fields of a plan one step further than the word. One that has fields ends in a dot, as a folder in a slash.
func fieldPaths(_ context.Context, t typing) ([]cobra.Completion, error) {
	root, err := planSchema()
	if err != nil {
		return nil, err
	}
	before := t.word[:strings.LastIndex(t.word, ".")+1]
	at, err := root.find(fieldPath(before))
	if err != nil {
		return nil, err
	}
	var found []cobra.Completion
	for _, name := range slices.Sorted(maps.Keys(at.below().Properties)) {
		field := at.below().Properties[name]
		if len(field.below().Properties) > 0 {
			name += "."
		}
		found = append(found, cobra.CompletionWithDesc(before+name, field.kind()))
	}
	return found, nil
}

// completeFlag says what a flag takes, where flagValue does not know it.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // there is no such flag
	}
}

// flagValue completes the flags that take one of some words, and those that mean the same wherever they are.
func (c *cli) flagValue(f *pflag.Flag) cobra.CompletionFunc {
	if one, ok := f.Value.(*choice); ok {
		return c.offer(words(one.allowed...))
	}
	switch f.Name {
	case "plan":
		return c.offer(c.planned)
	case "source":
		return c.offer(c.sourceNames)
	case "revision", "to-revision":
		return c.offer(c.revisions)
	case "filename":
		return cobra.FixedCompletions([]cobra.Completion{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt)
	case "changes", "save", "git-token-file", "git-ca-file", "git-ssh-key", "git-known-hosts":
		return shared.AnyFile
	}
	return nil
}
