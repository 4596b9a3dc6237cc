// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"sync"
)

// filteredPrefixes collects the prefixes of reads that ACLs filtered.
type filteredPrefixes struct {
	mu   sync.Mutex
	list []string
}

func (f *filteredPrefixes) note(prefix string, meta Meta) {
	if !meta.Filtered {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, prefix)
}

// first is the first of them by name; empty: none.
func (f *filteredPrefixes) first() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == 0 {
		return ""
	}
	return slices.Min(f.list)
}
