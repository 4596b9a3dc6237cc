// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// watchGap is the minimum interval between two reads of --watch.
const watchGap = time.Second

// watchFlag is the flag --watch of get.
type watchFlag struct{ watch bool }

func (f *watchFlag) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "print changes until interrupted, or until --timeout")
}

// listing is the result of one read of --watch.
type listing[T any] struct {
	items []T
	// watches are those whose changes make another read necessary.
	watches []store.Watch
	// again is when time alone makes another read necessary. Zero means never.
	again time.Time
}

// readAgainAt sets again to a time, if that is sooner. Zero means never.
func (l *listing[T]) readAgainAt(at time.Time) {
	if !at.IsZero() && (l.again.IsZero() || at.Before(l.again)) {
		l.again = at
	}
}

// watchList prints the items that read returns, and then each item whose row has changed.
func watchList[T any](ctx context.Context, f *factory, k itemKind[T], format string, read func(context.Context) (listing[T], error)) error {
	s, err := f.store()
	if err != nil {
		return err
	}
	set := store.NewWatchSet(s, store.WatchSetOptions{MinInterval: watchGap,
		Failed: func(_ store.WatchTarget, err error) { f.warn("%v", err) }})
	defer set.Stop()
	var watches []store.Watch
	p := changePrinter[T]{factory: f, kind: k, format: format, table: cli.NewTableWriter(f.Out, "")}
	for {
		found, err := read(ctx)
		_, away := errors.AsType[*store.UnavailableError](err)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			return err
		case err == nil:
			if err := p.print(found.items); err != nil {
				return err
			}
			watches = found.watches
		}
		set.SetWatches(ctx, watches)
		if _, ok := set.Wait(ctx, timeUntil(found.again, f.Now())); !ok {
			return nil
		}
	}
}

// timeUntil returns how long to wait for a time. Negative means that there is none.
func timeUntil(at, now time.Time) time.Duration {
	if at.IsZero() {
		return -1
	}
	return max(at.Sub(now), watchGap)
}

// changePrinter prints items whose row has changed since the last call.
type changePrinter[T any] struct {
	*factory
	kind   itemKind[T]
	format string
	table  *cli.TableWriter
	// last maps the name of an item to its row. Nil before the first call.
	last map[string]string
}

func (p *changePrinter[T]) print(items []T) error {
	columns := p.kind.columns(p.format != cli.Table)
	var changed []int
	rows := make([][]string, len(items))
	now := make(map[string]string, len(items))
	for i := range items {
		rows[i] = cli.Cells(p.kind.row(&items[i])[:columns])
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
	if p.format != cli.Table && p.format != cli.Wide {
		return p.printDocuments(items, changed)
	}
	return p.printRows(p.kind.header[:columns], rows, changed)
}

// printDocuments prints each item as a document of its own.
func (p *changePrinter[T]) printDocuments(items []T, changed []int) error {
	for _, i := range changed {
		if p.format == cli.Name {
			fmt.Fprintf(p.Out, "%s/%s\n", p.kind.name, p.kind.nameOf(&items[i]))
			continue
		}
		if p.format == cli.YAML {
			fmt.Fprintln(p.Out, "---")
		}
		if err := cli.Print(p.Out, p.format, items[i]); err != nil {
			return err
		}
	}
	return nil
}

// printRows prints rows in the columns of the first table, whose header comes before its first row.
func (p *changePrinter[T]) printRows(header []string, rows [][]string, changed []int) error {
	var lines [][]string
	if len(rows) > 0 && p.table.Fit(append([][]string{header}, rows...)...) {
		lines = append(lines, header)
	}
	for _, i := range changed {
		lines = append(lines, rows[i])
	}
	return p.table.Write(lines...)
}

// readPlans reads the plans with these names, or all plans, for --watch.
func readPlans(ctx context.Context, f *factory, names []string) (listing[*v1alpha1.UpgradePlan], error) {
	out := listing[*v1alpha1.UpgradePlan]{watches: []store.Watch{store.WatchKeys(keys.PlansEpoch)}}
	s, err := f.store()
	if err != nil {
		return out, err
	}
	all, err := planstore.Plans{Store: s}.List(ctx)
	if _, invalid := errors.AsType[*planstore.InvalidPlanError](err); err != nil && !invalid {
		return out, err
	}
	for _, plan := range all {
		if len(names) > 0 && !slices.Contains(names, plan.Name) {
			continue
		}
		o, err := planstore.Observe(ctx, s, plan.Name, f.Now())
		if _, missing := errors.AsType[*planstore.NotFoundError](err); missing {
			continue // deleted after it was listed
		}
		if err != nil {
			return out, err
		}
		o.Stored.Status = describe.Status(o)
		out.items = append(out.items, o.Stored)
		out.watches = append(out.watches, upgradeplan.Watches(o)...)
		out.readAgainAt(o.Decision.RequeueAt())
	}
	return out, nil
}
