// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// sourceLook is the time between two looks at a source that is being synced.
const sourceLook = 250 * time.Millisecond

// sources are those that a controller keeps a status of, sorted by name.
func sources(ctx context.Context, s store.Store) ([]gitsync.Status, error) {
	pairs, _, err := s.List(ctx, keys.Sources)
	var all []gitsync.Status
	for _, pair := range pairs {
		if status, ok := gitsync.DecodeStatus(pair); ok {
			all = append(all, status)
		}
	}
	return all, err
}

// source is the one of that name.
func source(ctx context.Context, s store.Store, arg string) (gitsync.Status, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "sources/"), "source/")
	if !names.Segment(name) {
		return gitsync.Status{}, usagef("%q: the name of a source %s", arg, names.SegmentRule)
	}
	pairs, _, err := s.Get(ctx, keys.Source(name))
	if err != nil {
		return gitsync.Status{}, err
	}
	status, ok := gitsync.DecodeStatus(pairs[0])
	if !ok {
		return status, fmt.Errorf("source %q not found: a controller that leads has none of that name", name)
	}
	return status, nil
}

func (c *cli) getSources() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sources [NAME...]",
		Aliases: []string{"source"},
		Short:   "List the Git repositories that plans come from, and how their last sync went",
		Long: "Lists the Git repositories that plans come from, and how their last sync went.\n" +
			fmt.Sprintf(getHelp, "Source", "source {name, url, ref, path, …},\nsynced {revision, time, seconds, plans}, "+
				"attemptedRevision, lastError {reason, message, revision, since}, conditions, events"),
	}
	cmd.ValidArgsFunction = c.many(c.sourceNames)
	format := getOutput(cmd)
	cmd.RunE = c.run(func(ctx context.Context, names []string) error {
		_, s, err := c.plans()
		if err != nil {
			return err
		}
		all, err := sources(ctx, s)
		if err != nil {
			return err
		}
		for i := range names {
			names[i] = strings.TrimPrefix(names[i], "source/")
		}
		return show(c, sourceKind(), format.value, all, names)
	})
	return cmd
}

func sourceKind() kind[gitsync.Status] {
	return kind[gitsync.Status]{
		name: "source", kind: "Source", wide: 5,
		header: []string{"NAME", "READY", "REVISION", "SYNCED", "STATUS", "URL", "PATH", "PLANS"},
		nameOf: func(s *gitsync.Status) string { return s.Source.Name },
		row: func(s *gitsync.Status) []string {
			ready := s.Ready()
			text, _, _ := strings.Cut(ready.Message, "\n")
			if ready.Status != metav1.ConditionTrue {
				text = cmp.Or(ready.Reason, "Unknown") + ": " + text
			}
			revision, synced, plans := "", "", 0
			if s.Synced != nil {
				revision, synced, plans = shortRevision(s.Synced.Revision), describe.Stamp(s.Synced.Time), len(s.Synced.Plans)
			}
			return []string{s.Source.Name, string(ready.Status), revision, synced, text, s.Source.URL, s.Source.Path, strconv.Itoa(plans)}
		},
	}
}

// shortRevision cuts the hash, as git does.
func shortRevision(revision string) string {
	const digits = 12
	if before, hash, ok := strings.Cut(revision, "sha1:"); ok && len(hash) > digits {
		return before + "sha1:" + hash[:digits]
	}
	return revision
}

func (c *cli) describeSource() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "source NAME",
		Aliases: []string{"sources"},
		Short:   "Say where a source's plans come from, how its last sync went, and what happened before",
		Args:    args(cobra.ExactArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.sourceNames)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		_, s, err := c.plans()
		if err != nil {
			return err
		}
		status, err := source(ctx, s, args[0])
		if err != nil {
			return err
		}
		return c.buffered(func(w io.Writer) error { return writeSource(w, &status) })
	})
	return cmd
}

func writeSource(w io.Writer, s *gitsync.Status) error {
	from := &s.Source
	list := []fact{
		{"Name", from.Name},
		{"URL", from.URL},
		{"Branch", from.Ref.Branch},
		{"Tag", from.Ref.Tag},
		{"Tags", from.Ref.SemVer},
		{"Commit", from.Ref.Commit},
		{"Path", from.Path},
		{"Interval", cmp.Or(from.Interval, gitsync.DefaultInterval.String())},
		{"Signatures", verifyText(from)},
		{"Prune", describe.YesNo(from.Prune == nil || *from.Prune)},
		{"Attempted", s.Attempted},
	}
	if s.Synced != nil {
		list = append(list, fact{"Applied", s.Synced.Revision},
			fact{"Applied at", fmt.Sprintf("%s, in %.1f s", describe.Stamp(s.Synced.Time), s.Synced.Seconds)},
			fact{"Plans", strings.Join(s.Synced.Plans, ", ")})
	}
	if err := facts(w, list); err != nil {
		return err
	}
	if e := s.LastError; e != nil {
		_, _ = fmt.Fprintf(w, "Error, since %s: %s\n", describe.Stamp(e.Since), e.Reason)
		for line := range strings.Lines(e.Message) {
			_, _ = fmt.Fprintln(w, "  "+oneLine(strings.TrimSuffix(line, "\n")))
		}
	}
	var rows [][]string
	for _, e := range s.Events {
		rows = append(rows, []string{describe.Stamp(e.Time), string(e.Type), e.Reason, e.Message})
	}
	_, _ = fmt.Fprintln(w, "Events:")
	return table(w, "  ", []string{"TIME", "TYPE", "REASON", "MESSAGE"}, rows)
}

func verifyText(s *gitsync.Source) string {
	if !s.Verify.Enabled() {
		return "not checked"
	}
	return "must be by one of the keys of " + strings.Join(slices.Concat(s.Verify.OpenPGPKeys, s.Verify.AllowedSigners), ", ")
}

func (c *cli) reconcileSource() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "source NAME",
		Short: "Let the controller sync a source now, and wait for how that goes",
		Long: "Asks the controller that leads to read the repository now and to apply what it holds, and waits until it has done so.\n" +
			"Exit code 1 when the sync fails, when --timeout passes before, and when no controller leads.",
		Example: "  upgradectl reconcile source default --timeout 1m",
		Args:    args(cobra.ExactArgs(1)),
	}
	cmd.ValidArgsFunction = c.one(c.sourceNames)
	cmd.RunE = c.run(func(ctx context.Context, args []string) error {
		_, s, err := c.plans()
		if err != nil {
			return err
		}
		status, err := source(ctx, s, args[0])
		if err != nil {
			return err
		}
		if err := mustLead(ctx, s); err != nil {
			return err
		}
		request := gitsync.Request{ID: fmt.Sprintf("%s %d", c.Who, time.Now().UnixNano()), By: c.Who, Time: c.Now().UTC()}
		if err := gitsync.RequestSync(ctx, s, status.Source.Name, request); err != nil {
			return err
		}
		return c.awaitSync(ctx, s, status.Source.Name, request.ID)
	})
	return cmd
}

// mustLead says by an error that no controller leads: nobody would sync.
func mustLead(ctx context.Context, s store.Store) error {
	held, err := leaderelection.LockHolder(ctx, s, keys.Leader)
	switch {
	case err != nil:
		return err
	case held == nil:
		return errors.New("no controller is running: start upgrade-controller, which syncs its sources")
	case held.Kind != leaderelection.KindController:
		return fmt.Errorf("%w: a controller syncs its sources, and none leads", held)
	}
	return nil
}

// awaitSync waits until a request was answered, and says how.
func (c *cli) awaitSync(ctx context.Context, s store.Store, name, id string) error {
	for {
		status, err := source(ctx, s, name)
		if err != nil {
			return err
		}
		if status.HandledRequest == id {
			if e := status.LastError; e != nil {
				return fmt.Errorf("source %s: %s: %s", name, e.Reason, e.Message)
			}
			fmt.Fprintf(c.Out, "source/%s synced: %s\n", name, oneLine(status.Ready().Message))
			return nil
		}
		if err := mustLead(ctx, s); err != nil {
			return err
		}
		if err := pause(ctx, sourceLook); err != nil {
			return err
		}
	}
}
