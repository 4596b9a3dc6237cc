// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// answerTime is what an answer may take on top of the time that Consul waits.
const answerTime = 10 * time.Second

// nothing is true for no check and no node: a blocking query with it wakes all the same, and transfers an empty list.
const nothing = `Node == ""`

// Wait is one blocking query, tried once. Consul adds up to a sixteenth to the time that it is asked to wait.
func (s *Store) Wait(ctx context.Context, prefix string, index uint64) (mark store.WatchIndex, err error) {
	r := watched(prefix)
	r.kind = kindWait
	r.query = append(r.query, fmt.Sprintf("index=%d", index), fmt.Sprintf("wait=%ds", store.MaxWait/time.Second))
	timeout := store.MaxWait + store.MaxWait/16 + answerTime
	if index == 0 {
		timeout = s.config.ReadTimeout
	}
	err = s.attempt(ctx, timeout, r, func(response *http.Response) error {
		meta, err := s.meta(response)
		// An index of 0 would make the next query return at once, and every one after it.
		mark = store.WatchIndex{Index: max(meta.Index, 1), Empty: response.StatusCode == http.StatusNotFound}
		return err
	})
	if err != nil {
		return store.WatchIndex{}, err
	}
	return mark, nil
}

// watched is the smallest read that wakes for what is waited for: of keys, the first level of names below the prefix. Of
// checks it is all, though the critical ones alone would be cheaper for the server: a check that goes from passing to
// warning does not wake a query for those.
func watched(prefix string) request {
	switch prefix {
	case store.ChecksTarget:
		return catalogRequest(checksPath, needChecks(), filter(nothing))
	case store.NodesTarget:
		return catalogRequest(nodesPath, needNodes(), filter(nothing))
	}
	return request{method: http.MethodGet, path: "/v1/kv/" + prefix, query: []string{"keys", "separator=/"},
		needs: needPrefix(prefix, "list"), accept: []int{http.StatusOK, http.StatusNotFound}}
}
