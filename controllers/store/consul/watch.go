// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// answerTime is how long an answer may take in addition to the time that Consul waits.
const answerTime = 10 * time.Second

// nothing is true for no check and no node. A blocking query with it wakes all the same, and transfers an empty list.
const nothing = `Node == ""`

// Wait is one blocking query, tried once. Consul adds up to a sixteenth to the time that it is asked to wait.
func (s *Store) Wait(ctx context.Context, target store.WatchTarget, index uint64, atMost time.Duration) (at store.WatchIndex,
	err error) {
	wait := min(max(atMost, time.Millisecond), store.MaxWait) // for Consul, 0 is the default of 5 min
	r := watchRequest(target)
	r.kind, r.use = kindWait, forWaits
	r.query = append(r.query, fmt.Sprintf("index=%d", index), fmt.Sprintf("wait=%dms", wait.Milliseconds()))
	timeout := wait + wait/16 + answerTime
	if index == 0 {
		timeout = s.config.ReadTimeout
	}
	err = s.attempt(ctx, timeout, r, func(response *http.Response) error {
		meta, err := s.meta(response)
		// With an index of 0 the next query would return at once, and so would every one after it.
		at = store.WatchIndex{Index: max(meta.Index, 1), Empty: response.StatusCode == http.StatusNotFound}
		return err
	})
	if err != nil {
		return store.WatchIndex{}, err
	}
	return at, nil
}

// watchRequest is the smallest read that wakes for a target. Of keys it reads the names directly below the prefix, so for a
// flat tree the prefix without its slash: that is one name. Of checks it reads all, although the critical ones alone would be
// cheaper for the server: a check that goes from passing to warning does not wake a query for those.
func watchRequest(target store.WatchTarget) request {
	prefix := target.Prefix
	switch target.Kind {
	case store.Checks:
		return catalogRequest(checksPath, needChecks(), filter(nothing))
	case store.Nodes:
		return catalogRequest(nodesPath, needNodes(), filter(nothing))
	case store.FlatKeyTree:
		prefix = strings.TrimSuffix(prefix, "/")
	}
	return request{method: http.MethodGet, path: "/v1/kv/" + prefix, query: []string{"keys", "separator=/"},
		needs: needPrefix(prefix, "list"), accept: []int{http.StatusOK, http.StatusNotFound}}
}
