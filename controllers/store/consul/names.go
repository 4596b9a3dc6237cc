// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Names are the names directly below a prefix that ends in a slash, sorted: of keys, and of trees. The answer is as
// small as they are, however many keys stand below them.
func (s *Store) Names(ctx context.Context, prefix string) (names []string, meta store.Meta, err error) {
	err = s.below(ctx, prefix, asked{kind: kindKeys, what: "keys&separator=%2F"}, &meta, func(body io.Reader) (err error) {
		names, err = decodeKeys(body)
		return err
	}, func() { names = nil })
	for i, name := range names {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(name, prefix), "/")
	}
	return names, meta, err
}

// Leader is the address of the server that leads; empty: none does. It takes no token.
func (s *Store) Leader(ctx context.Context) (address string, err error) {
	r := request{method: http.MethodGet, path: "/v1/status/leader", accept: []int{http.StatusOK}}
	err = s.read(ctx, r, func(response *http.Response) error {
		return s.decodeError(json.NewDecoder(response.Body).Decode(&address))
	})
	return address, err
}
