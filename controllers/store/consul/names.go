// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Names returns the names of keys and trees directly below a prefix that ends in a slash, sorted. The size of the answer does not
// depend on how many keys the trees hold.
func (s *Store) Names(ctx context.Context, prefix string) (names []string, meta store.Meta, err error) {
	err = s.below(ctx, prefix, listing{kind: kindKeys, parameter: "keys&separator=%2F"}, &meta, func(body io.Reader) (err error) {
		names, err = decodeKeys(body)
		return err
	}, func() { names = nil })
	for i, name := range names {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(name, prefix), "/")
	}
	return names, meta, err
}

// Leader returns the address of the server that leads. Empty means none. It needs no token.
func (s *Store) Leader(ctx context.Context) (address string, err error) {
	r := request{method: http.MethodGet, path: "/v1/status/leader", accept: []int{http.StatusOK}}
	err = s.read(ctx, r, func(response *http.Response) (err error) {
		address, err = decodeString(response.Body)
		return s.decodeError("the address of the leader", err)
	})
	return address, err
}
