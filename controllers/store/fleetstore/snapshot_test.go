// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// hiding is a store whose catalog ACLs hide, or which cannot be read.
type hiding struct {
	store.Store
	checks, nodes bool
	err           error
}

func (h hiding) Unhealthy(ctx context.Context) ([]fleet.Check, store.Meta, error) {
	bad, meta, err := h.Store.Unhealthy(ctx)
	meta.Filtered = h.checks
	return bad, meta, errors.Join(err, h.err)
}

func (h hiding) Nodes(ctx context.Context) ([]string, store.Meta, error) {
	names, meta, err := h.Store.Nodes(ctx)
	meta.Filtered = h.nodes
	return names, meta, errors.Join(err, h.err)
}

// large is a store in which a prefix is too large to be read.
type large struct {
	store.Store
	prefix string
}

func (l large) error(prefix string) error {
	if prefix != l.prefix {
		return nil
	}
	return &store.TooLargeError{What: prefix, Err: errors.New("the answer takes more than 256 MiB of memory")}
}

func (l large) List(ctx context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	pairs, meta, err := l.Store.List(ctx, prefix)
	return pairs, meta, errors.Join(err, l.error(prefix))
}

func (l large) Keys(ctx context.Context, prefix string, hints ...store.ReadHint) ([]string, store.Meta, error) {
	names, meta, err := l.Store.Keys(ctx, prefix, hints...)
	return names, meta, errors.Join(err, l.error(prefix))
}

func (l large) Unhealthy(ctx context.Context) ([]fleet.Check, store.Meta, error) {
	bad, meta, err := l.Store.Unhealthy(ctx)
	return bad, meta, errors.Join(err, l.error("checks"))
}

func (l large) Nodes(ctx context.Context) ([]string, store.Meta, error) {
	names, meta, err := l.Store.Nodes(ctx)
	return names, meta, errors.Join(err, l.error("nodes"))
}

// A tree that is too large is not read. Then the snapshot is incomplete, so that no host starts.
func TestReadFleet_IsIncompleteWithoutATreeThatIsTooLarge(t *testing.T) {
	s, l := memory.New(time.Now), keys.Layout{}
	for _, key := range []string{l.CurrentVersion(), l.Record("v1", "web1"), l.Report("web1"), l.Started("web1"), l.Grant("web1")} {
		if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: key, Value: []byte("v1")}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, prefix := range []string{l.RecordTree(), l.Record("v1", ""), l.ReportTree(), l.StartedTree(), l.GrantTree(), l.HoldTree(), l.ConfigState(),
		"checks", "nodes"} {
		read, err := fleetstore.ReadFleet(t.Context(), large{s, prefix}, l, fleetstore.SnapshotOptions{Ages: true, Checks: true, Nodes: true})
		if want := prefix + " cannot be read: the answer takes more than 256 MiB of memory: delete what does not belong there"; err != nil ||
			read.Incomplete != want {
			t.Errorf("%s: %q, %v", prefix, read.Incomplete, err)
		}
	}
	if names, err := fleetstore.ReadNames(t.Context(), large{s, l.ReportTree()}, l); err != nil || names.Incomplete == "" {
		t.Errorf("names: %q, %v", names.Incomplete, err)
	}
}

func TestReadFleet_ReadsRequestedPartsOfTheCatalog(t *testing.T) {
	s := memory.New(time.Now)
	s.SetNodes("web2", "web1")
	s.SetChecks("web1", fleet.Check{ID: "disk", Status: fleet.Critical})
	checks := []fleet.Check{{Node: "web1", ID: "disk", Status: fleet.Critical}}
	names := []string{"web1", "web2"}
	const needsChecks = `ACLs hid checks: the token needs node_prefix "" { policy = "read" } and service_prefix "" { policy = "read" }`
	for name, tt := range map[string]struct {
		hiding hiding
		asked  fleetstore.SnapshotOptions
		want   keys.Snapshot
	}{
		"nothing":           {hiding{checks: true, nodes: true}, fleetstore.SnapshotOptions{}, keys.Snapshot{}},
		"checks":            {hiding{nodes: true}, fleetstore.SnapshotOptions{Checks: true}, keys.Snapshot{Checks: checks}},
		"nodes":             {hiding{checks: true}, fleetstore.SnapshotOptions{Nodes: true}, keys.Snapshot{Nodes: names}},
		"both":              {hiding{}, fleetstore.SnapshotOptions{Checks: true, Nodes: true}, keys.Snapshot{Checks: checks, Nodes: names}},
		"checks are hidden": {hiding{checks: true}, fleetstore.SnapshotOptions{Checks: true}, keys.Snapshot{Checks: checks, Incomplete: needsChecks}},
		"nodes are hidden": {hiding{nodes: true}, fleetstore.SnapshotOptions{Nodes: true},
			keys.Snapshot{Nodes: names, Incomplete: `ACLs hid nodes: the token needs node_prefix "" { policy = "read" }`}},
	} {
		tt.hiding.Store = s
		raw, err := fleetstore.ReadFleet(t.Context(), tt.hiding, keys.Layout{}, tt.asked)
		got := keys.Snapshot{Checks: raw.Checks, Nodes: raw.Nodes, Incomplete: raw.Incomplete}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
	broken := hiding{Store: s, err: errors.New("no leader")}
	for _, asked := range []fleetstore.SnapshotOptions{{Checks: true}, {Nodes: true}} {
		if _, err := fleetstore.ReadFleet(t.Context(), broken, keys.Layout{}, asked); !errors.Is(err, broken.err) {
			t.Errorf("%+v: %v", asked, err)
		}
	}
}
