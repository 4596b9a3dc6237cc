// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetstore

import (
	"slices"
	"sync"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// filteredReads collects what ACLs hid of reads, a sentence for each.
type filteredReads struct {
	mu   sync.Mutex
	list []string
}

func (f *filteredReads) note(hidden string, meta store.Meta) {
	if !meta.Filtered {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, hidden)
}

// first is the first of them in the order of their letters; empty: none.
func (f *filteredReads) first() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == 0 {
		return ""
	}
	return slices.Min(f.list)
}
