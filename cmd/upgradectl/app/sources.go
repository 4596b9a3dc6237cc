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
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan/describe"
)

// syncPollInterval is the time between two reads of a source during a sync.
const syncPollInterval = 250 * time.Millisecond

// listSources returns the sources whose status a controller has written, sorted by name.
func listSources(ctx context.Context, s store.Store) ([]gitsync.Status, error) {
	pairs, _, err := s.List(ctx, keys.Sources)
	var all []gitsync.Status
	for _, pair := range pairs {
		if status, ok := gitsync.DecodeStatus(pair); ok {
			all = append(all, status)
		}
	}
	return all, err
}

// findSource returns the source of that name.
func findSource(ctx context.Context, s store.Store, arg string) (gitsync.Status, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "sources/"), "source/")
	if !names.Segment(name) {
		return gitsync.Status{}, cli.Usagef("%q: the name of a source %s", arg, names.SegmentRule)
	}
	pairs, _, err := s.Get(ctx, keys.Source(name))
	if err != nil {
		return gitsync.Status{}, err
	}
	status, ok := gitsync.DecodeStatus(pairs[0])
	if !ok {
		return status, fmt.Errorf("source %q not found: the controller that leads has no source of that name", name)
	}
	return status, nil
}

type getSourcesOptions struct {
	getOptions
	namesArg
}

func newCmdGetSources(f *factory, runF func(context.Context, *getSourcesOptions) error) *cobra.Command {
	o := &getSourcesOptions{getOptions: getOptions{factory: f}}
	cmd := &cobra.Command{
		Use:     "sources [NAME...]",
		Aliases: []string{"source"},
		Short:   "List the Git repositories of plans, and the results of their last syncs",
		Long: "Lists the Git repositories of plans, and the results of their last syncs.\n" +
			fmt.Sprintf(itemHelp, "Source", "source {name, url, ref, path, …},\nsynced {revision, time, seconds, plans}, "+
				"attemptedRevision, lastError {reason, message, revision, since}, conditions, events"),
		ValidArgsFunction: f.completeManyArgs(completeSources),
		RunE:              runE(f, o, runGetSources, runF),
	}
	o.getOptions.bind(cmd)
	return cmd
}

func runGetSources(ctx context.Context, o *getSourcesOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	all, err := listSources(ctx, s)
	if err != nil {
		return err
	}
	var names []string
	for _, name := range o.names {
		names = append(names, strings.TrimPrefix(name, "source/"))
	}
	return printItems(o.factory, sourceKind(), o.format.Value, all, names)
}

func sourceKind() itemKind[gitsync.Status] {
	return itemKind[gitsync.Status]{
		name: "source", kind: "Source", narrow: 5,
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

// shortRevision shortens the hash of a revision, as Git does.
func shortRevision(revision string) string {
	const digits = 12
	if hash := repository.CommitOf(revision); hash != "" {
		return strings.TrimSuffix(revision, hash[digits:])
	}
	return revision
}

// sourceOptions are the options of a command about one source.
type sourceOptions struct {
	*factory
	namesArg
}

func newCmdDescribeSource(f *factory, runF func(context.Context, *sourceOptions) error) *cobra.Command {
	o := &sourceOptions{factory: f}
	return &cobra.Command{
		Use:               "source NAME",
		Aliases:           []string{"sources"},
		Short:             "Show the repository of a source, the result of its last sync, and its events",
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: f.completeArgs(completeSources),
		RunE:              runE(f, o, runDescribeSource, runF),
	}
}

func runDescribeSource(ctx context.Context, o *sourceOptions) error {
	s, err := o.store()
	if err != nil {
		return err
	}
	status, err := findSource(ctx, s, o.names[0])
	if err != nil {
		return err
	}
	return cli.Buffered(o.Out, func(w io.Writer) error { return writeSource(w, &status) })
}

func writeSource(w io.Writer, s *gitsync.Status) error {
	from := &s.Source
	fields := []field{
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
		fields = append(fields, field{"Applied", s.Synced.Revision},
			field{"Applied at", fmt.Sprintf("%s, in %.1f s", describe.Stamp(s.Synced.Time), s.Synced.Seconds)},
			field{"Plans", strings.Join(s.Synced.Plans, ", ")})
	}
	if err := cli.WriteFields(w, fields); err != nil {
		return err
	}
	if e := s.LastError; e != nil {
		_, _ = fmt.Fprintf(w, "Error, since %s: %s\n", describe.Stamp(e.Since), e.Reason)
		for line := range strings.Lines(e.Message) {
			_, _ = fmt.Fprintln(w, "  "+cli.OneLine(strings.TrimSuffix(line, "\n")))
		}
	}
	var rows [][]string
	for _, e := range s.Events {
		rows = append(rows, []string{describe.Stamp(e.Time), string(e.Type), e.Reason, e.Message})
	}
	return writeSection(w, "Events", []string{"TIME", "TYPE", "REASON", "MESSAGE"}, rows, 0, "")
}

func verifyText(s *gitsync.Source) string {
	if !s.Verify.Enabled() {
		return "not verified"
	}
	text := "must be by one of the keys of " + strings.Join(slices.Concat(s.Verify.OpenPGPKeys, s.Verify.AllowedSigners), ", ")
	if s.Verify.AllowRewind {
		text += "; also of commits that do not descend from the last one"
	}
	return text
}

// reconcileSourceOptions are the options of reconcile source.
type reconcileSourceOptions struct {
	*factory
	namesArg
	accept string
}

func newCmdReconcileSource(f *factory, runF func(context.Context, *reconcileSourceOptions) error) *cobra.Command {
	o := &reconcileSourceOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "source NAME",
		Short: "Make the controller sync a source now, and wait for the result",
		Long: "Asks the controller that leads to read the repository and apply its plans now, and waits until it has done so.\n" +
			"Exit code 1 if the sync fails, if --timeout passes before, or if no controller leads. Without --timeout, the limit is\n" +
			"twice the timeout of the source and a minute.\n\n" +
			"A source that verifies signatures moves only to commits that descend from the one that was applied last.\n" +
			"--accept lets this sync apply one other commit. It must have a good signature, too. If the repository does not offer that\n" +
			"commit now, the command fails, and no later sync applies it. It is refused while another commit is to be accepted.",
		Example: "  upgradectl reconcile source default --timeout 1m\n" +
			"  upgradectl reconcile source default --accept 5f2c8a90c1d3e4f5a6b7c8d9e0f1a2b3c4d5e6f7",
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: f.completeArgs(completeSources),
		RunE:              runE(f, o, runReconcileSource, runF),
	}
	cmd.Flags().StringVar(&o.accept, "accept", "", "revision to apply although it does not descend from the last one: a full hash, or "+
		"REF@sha1:HASH as get sources -o json shows it")
	return cmd
}

// acceptedCommit returns the hash of a revision, or an empty one for an empty revision.
func acceptedCommit(revision string) (string, error) {
	commit := repository.CommitOf(revision)
	if revision != "" && commit == "" {
		return "", cli.Usagef("--accept %q: must be the full hash of a commit, 40 lowercase hexadecimal digits, or REF@sha1:HASH", revision)
	}
	return commit, nil
}

func runReconcileSource(ctx context.Context, o *reconcileSourceOptions) error {
	accept, err := acceptedCommit(o.accept)
	if err != nil {
		return err
	}
	s, err := o.store()
	if err != nil {
		return err
	}
	status, err := findSource(ctx, s, o.names[0])
	if err != nil {
		return err
	}
	leader, err := requireController(ctx, s)
	if err != nil {
		return err
	}
	name := status.Source.Name
	request, err := gitsync.RequestSync(ctx, s, name,
		gitsync.Request{ID: fmt.Sprintf("%s %d", o.Who, time.Now().UnixNano()), By: o.Who, Time: o.Now().UTC(), Accept: accept})
	if err != nil {
		return err
	}
	limit := cmp.Or(o.flags.timeout, status.Source.RequestTimeout())
	o.say("waiting up to %s for %s to sync source %s", limit, leader.Holder, name)
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("gave up after %s", limit))
	defer cancel()
	after, err := waitForSync(limited, s, name, request)
	switch {
	case limited.Err() != nil && errors.Is(err, context.Cause(limited)):
		return fmt.Errorf("%w waiting for %s to sync source %s; the request stays stored", err, leader.Holder, name)
	case err != nil:
		return err
	}
	return reportSync(o.Out, after, status.Events)
}

// waitForSync returns the status of a source after the request was handled.
func waitForSync(ctx context.Context, s store.Store, name string, request gitsync.Request) (status gitsync.Status, err error) {
	err = poll(ctx, syncPollInterval, func(ctx context.Context) (bool, error) {
		if status, err = findSource(ctx, s, name); err != nil {
			return false, err
		}
		if status.Handled(request) {
			return true, nil
		}
		_, err := requireController(ctx, s)
		return false, err
	})
	return status, err
}

// reportSync prints the result of a sync. It returns an error if the sync failed, or dropped the commit that it should accept.
// The events before are those from before the sync.
func reportSync(w io.Writer, s gitsync.Status, before []fleet.Event) error {
	if s.LastError != nil {
		return fmt.Errorf("source %s: %s: %s", s.Source.Name, s.LastError.Reason, s.LastError.Message)
	}
	var last uint64
	for _, e := range before {
		last = max(last, e.Number)
	}
	for _, e := range s.Events {
		if e.Number > last && e.Reason == gitsync.ReasonAcceptDropped {
			return fmt.Errorf("source %s: %s: %s", s.Source.Name, e.Reason, e.Message)
		}
	}
	_, err := fmt.Fprintf(w, "source/%s synced: %s\n", s.Source.Name, cli.OneLine(s.Ready().Message))
	return err
}

// requireController returns the controller that leads, or an error if there is none, since only a controller syncs sources.
func requireController(ctx context.Context, s store.Store) (*leaderelection.LockHeldError, error) {
	held, err := lockHolder(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case held == nil:
		return nil, errors.New("no controller is running: start upgrade-controller, which syncs its sources")
	case held.Kind != leaderelection.KindController:
		return nil, fmt.Errorf("%w: only a controller syncs sources, and none leads", held)
	}
	return held, nil
}
