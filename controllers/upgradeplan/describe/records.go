// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"context"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Records reads all records with their times: the newest of each host, by its index. An observation does without the times:
// of a large fleet they are the most of what there is to read.
func Records(ctx context.Context, s store.Reader, l keys.Layout) (map[string]fleet.Record, error) {
	newest, trees := map[string]fleet.Record{}, l.RecordTrees()
	for _, tree := range trees {
		pairs, _, err := s.List(ctx, tree)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			version, host, ok := trees.Cut(p.Key)
			if r, seen := newest[host]; ok && (!seen || p.ModifyIndex > r.ModifyIndex) {
				newest[host] = fleet.Record{Version: version, ModifyIndex: p.ModifyIndex, Time: keys.DecodeTime(p.Value)}
			}
		}
	}
	return newest, nil
}
