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

// Wait is one blocking query for the first level of names below the prefix, tried once. Consul adds up to a sixteenth to
// the time that it is asked to wait.
func (s *Store) Wait(ctx context.Context, prefix string, index uint64) (mark store.Mark, err error) {
	r := request{kind: kindWait, method: http.MethodGet, path: "/v1/kv/" + prefix,
		query: []string{"keys", "separator=/", fmt.Sprintf("index=%d", index), fmt.Sprintf("wait=%ds", store.MaxWait/time.Second)},
		needs: needPrefix(prefix, "list"), accept: []int{http.StatusOK, http.StatusNotFound}}
	timeout := store.MaxWait + store.MaxWait/16 + answerTime
	if index == 0 {
		timeout = s.config.ReadTimeout
	}
	err = s.attempt(ctx, timeout, r, func(response *http.Response) error {
		meta, err := s.meta(response)
		// An index of 0 would make the next query return at once, and every one after it.
		mark = store.Mark{Index: max(meta.Index, 1), Empty: response.StatusCode == http.StatusNotFound}
		return err
	})
	if err != nil {
		return store.Mark{}, err
	}
	return mark, nil
}
