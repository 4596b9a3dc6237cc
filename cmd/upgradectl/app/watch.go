// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// watchGap is the least time between two looks of --watch.
const watchGap = time.Second

func watchFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().BoolP("watch", "w", false, "go on, and print what changes, until interrupted or for --timeout")
}

// seen is what one look has found.
type seen[T any] struct {
	items []T
	// watch are the prefixes by which it shows that another look is worth while, and next when time alone makes it so; zero:
	// never.
	watch []store.Watch
	next  time.Time
}

// watchList prints what see finds, and then each item whose row has changed.
func watchList[T any](ctx context.Context, c *cli, k kind[T], format string, see func(context.Context) (seen[T], error)) error {
	_, s, err := c.plans()
	if err != nil {
		return err
	}
	bells := store.NewWatchSet(s, store.WatchSetOptions{MinInterval: watchGap, Failed: func(_ store.WatchTarget, err error) { c.warn(err.Error()) }})
	defer bells.Stop()
	var hung []store.Watch
	p := printer[T]{cli: c, kind: k, format: format, last: map[string]string{}}
	for {
		found, err := see(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.As(err, new(*store.UnavailableError)):
			return err
		case err == nil:
			if err := p.show(found.items); err != nil {
				return err
			}
		}
		if err == nil {
			hung = found.watch
		}
		bells.SetWatches(ctx, hung)
		if _, ok := bells.Wait(ctx, until(found.next, c.Now())); !ok {
			return nil
		}
	}
}

// until is how long to wait for a time; negative: there is none.
func until(at, now time.Time) time.Duration {
	if at.IsZero() {
		return -1
	}
	return max(at.Sub(now), watchGap)
}

// printer prints items whose row is another than the last time.
type printer[T any] struct {
	*cli
	kind   kind[T]
	format string
	last   map[string]string // name → row
	widths []int
}

func (p *printer[T]) show(items []T) error {
	columns := p.kind.wide
	if p.format != asTable {
		columns = len(p.kind.header)
	}
	var changed []int
	rows := make([][]string, len(items))
	now := make(map[string]string, len(items))
	for i := range items {
		rows[i] = cells(p.kind.row(&items[i])[:columns])
		name, row := p.kind.nameOf(&items[i]), strings.Join(rows[i], "\t")
		if now[name] = row; p.last[name] != row {
			changed = append(changed, i)
		}
	}
	for _, name := range fleet.NaturalKeys(p.last) {
		if _, still := now[name]; !still && p.kind.name != eventName {
			p.say("%s/%s is gone", p.kind.name, name)
		}
	}
	p.last = now
	switch p.format {
	case asJSON, asYAML, asName:
		return p.printEach(items, changed)
	}
	return p.buffered(func(w io.Writer) error {
		if p.widths == nil && len(items) > 0 {
			header := p.kind.header[:columns]
			p.widths = widths(append([][]string{header}, rows...))
			p.line(w, header)
		}
		for _, i := range changed {
			p.line(w, rows[i])
		}
		return nil
	})
}

// printEach prints items as documents of their own.
func (p *printer[T]) printEach(items []T, changed []int) error {
	c := p.cli
	for _, i := range changed {
		if p.format == asName {
			fmt.Fprintf(p.Out, "%s/%s\n", p.kind.name, p.kind.nameOf(&items[i]))
			continue
		}
		if p.format == asYAML {
			fmt.Fprintln(p.Out, "---")
		}
		if err := c.print(p.format, items[i]); err != nil {
			return err
		}
	}
	return nil
}

// line writes cells as wide as those of the first table were, or wider.
func (p *printer[T]) line(w io.Writer, row []string) {
	var b strings.Builder
	for i, cell := range row {
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", max(0, p.widths[i]-utf8.RuneCountInString(cell))+3))
	}
	_, _ = fmt.Fprintln(w, strings.TrimRight(b.String(), " ")) // the writer keeps its error
}

// cells are those of a row, as a table has them.
func cells(row []string) []string {
	out := slices.Clone(row)
	for i, cell := range out {
		if out[i] = oneLine(cell); cell == "" && i < len(out)-1 {
			out[i] = "-"
		}
	}
	return out
}

// widths are those of the widest cell of each column.
func widths(rows [][]string) []int {
	out := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			out[i] = max(out[i], utf8.RuneCountInString(cell))
		}
	}
	return out
}

// seePlans looks at plans of these names, or at all.
func (c *cli) seePlans(ctx context.Context, names []string) (seen[*v1alpha1.UpgradePlan], error) {
	plans, s, err := c.plans()
	if err != nil {
		return seen[*v1alpha1.UpgradePlan]{}, err
	}
	out := seen[*v1alpha1.UpgradePlan]{watch: []store.Watch{store.WatchKeys(keys.PlansEpoch)}}
	all, unreadable := plans.List(ctx)
	if _, ok := errors.AsType[*upgradeplan.InvalidPlanError](unreadable); unreadable != nil && !ok {
		return out, unreadable
	}
	for _, plan := range all {
		if len(names) > 0 && !slices.Contains(names, plan.Name) {
			continue
		}
		o, err := upgradeplan.Observe(ctx, s, plan.Name, c.Now())
		if _, ok := errors.AsType[*upgradeplan.NotFoundError](err); ok {
			continue // it was deleted a moment ago
		}
		if err != nil {
			return out, err
		}
		o.Stored.Status = describe.Status(o)
		out.items = append(out.items, o.Stored)
		out.watch = append(out.watch, o.Watched()...)
		out.sooner(o.Decision.RequeueAt())
	}
	return out, nil
}

// seeHosts looks at those hosts of a fleet that are wanted.
func (c *cli) seeHosts(ctx context.Context, plan string, times bool, wanted func(*describe.Host) bool) (seen[describe.Host], error) {
	o, hosts, err := c.observeHosts(ctx, plan, times)
	if _, ok := errors.AsType[*upgradeplan.NotFoundError](err); plan == "" && ok { // the only plan was deleted just after it was found
		o, hosts, err = c.observeHosts(ctx, plan, times)
	}
	if err != nil {
		return seen[describe.Host]{}, err
	}
	out := seen[describe.Host]{watch: append(o.Watched(), store.WatchKeys(keys.PlansEpoch))}
	for i := range hosts {
		if wanted(&hosts[i]) {
			out.items = append(out.items, hosts[i])
		}
	}
	out.sooner(o.Decision.RequeueAt())
	return out, nil
}

// sooner notes a time at which to look again; zero: never.
func (s *seen[T]) sooner(at time.Time) {
	if !at.IsZero() && (s.next.IsZero() || at.Before(s.next)) {
		s.next = at
	}
}
