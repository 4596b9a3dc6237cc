// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// List returns all pairs below prefix. Consul does not tell a request without a token that something was hidden from it.
func (s *Store) List(ctx context.Context, prefix string) (pairs []keys.Pair, meta store.Meta, err error) {
	err = s.below(ctx, prefix, asked{kind: kindList, what: "recurse"}, &meta, func(body io.Reader) (err error) {
		pairs, err = decodePairs(body)
		return err
	}, func() { pairs = nil })
	return pairs, meta, err
}

// Keys returns all keys below prefix. Consul does not tell a request without a token that something was hidden from it. It
// compresses the answer for store.ExpectFew, if that has at least 1400 bytes.
func (s *Store) Keys(ctx context.Context, prefix string, hints ...store.ReadHint) (names []string, meta store.Meta, err error) {
	ask := asked{kind: kindKeys, what: "keys", packed: slices.Contains(hints, store.ExpectFew)}
	err = s.below(ctx, prefix, ask, &meta, func(body io.Reader) (err error) {
		names, err = decodeKeys(body)
		return err
	}, func() { names = nil })
	return names, meta, err
}

// asked is what of a prefix is read: the kind that it is observed as, the parameter of Consul's, and whether to pack it.
type asked struct {
	kind, what string
	packed     bool
}

// below reads what is below a prefix. None is called when there is nothing.
func (s *Store) below(ctx context.Context, prefix string, ask asked, meta *store.Meta, decode func(io.Reader) error,
	none func()) error {
	r := request{kind: ask.kind, method: http.MethodGet, path: "/v1/kv/" + prefix, query: []string{ask.what, s.mode()},
		needs: needPrefix(prefix, "list"), accept: []int{http.StatusOK, http.StatusNotFound}, packed: ask.packed}
	return s.read(ctx, r, func(response *http.Response) (err error) {
		if *meta, err = s.meta(response); err != nil {
			return err
		}
		if response.StatusCode == http.StatusNotFound {
			none()
			return nil
		}
		return s.decodeError(decode(response.Body))
	})
}

func (s *Store) mode() string {
	if s.config.Stale {
		return "stale"
	}
	return "consistent"
}

// meta reads the headers of a read. A server that does not send Consul's is not Consul: its 404 must not look like an
// empty tree.
func (s *Store) meta(response *http.Response) (store.Meta, error) {
	index, err := strconv.ParseUint(response.Header.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		return store.Meta{}, fmt.Errorf("consul at %s: the answer has no X-Consul-Index: is this Consul?", s.addr)
	}
	return store.Meta{
		Index:    index,
		Filtered: response.Header.Get("X-Consul-Results-Filtered-By-ACLs") == "true",
	}, nil
}

// decodeError tells an answer that was cut off from one that is not what Consul sends.
func (s *Store) decodeError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var value base64.CorruptInputError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errShape) || errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &value):
		return fmt.Errorf("consul at %s: the answer cannot be read: %w", s.addr, err)
	}
	return &lostError{err}
}

// Get reads the keys in one transaction, or in several when they are more than MaxOps. A key that an ACL hides is
// store.Forbidden: it must not look as if it were not there.
func (s *Store) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	if slices.Contains(key, "") {
		return nil, store.Meta{}, errors.New("get: key is required")
	}
	var meta store.Meta
	pairs := make([]keys.Pair, 0, len(key))
	for len(pairs) < len(key) {
		read, err := s.getChunk(ctx, key[len(pairs):])
		if err != nil {
			return nil, store.Meta{}, err
		}
		pairs = append(pairs, read...)
	}
	for _, pair := range pairs {
		meta.Index = max(meta.Index, pair.ModifyIndex)
	}
	return pairs, meta, nil
}

// getChunk reads as many of the keys as one transaction takes.
func (s *Store) getChunk(ctx context.Context, key []string) ([]keys.Pair, error) {
	if !s.old.Load() {
		chunk := key[:min(len(key), s.MaxOps())]
		pairs, _, err := s.getAll(ctx, chunk, verbGetOrEmpty)
		if !errors.Is(err, errBefore114) {
			return pairs, err
		}
		s.old.Store(true)
	}
	return s.getBefore114(ctx, key[:min(len(key), s.MaxOps())])
}

// getTries bounds how often getBefore114 reads a set of keys that changes while it is read.
const getTries = 5

// getBefore114 reads keys by transactions that refuse a missing key: the missing ones are found by a refusal, the others
// read, and the missing ones asked again, so that at the moment of the read none of them was there.
func (s *Store) getBefore114(ctx context.Context, key []string) ([]keys.Pair, error) {
	for range getTries {
		pairs, missing, err := s.getAll(ctx, key, verbGet)
		if err != nil || len(missing) == 0 {
			return pairs, err
		}
		var there []string
		for i, k := range key {
			if !slices.Contains(missing, i) {
				there = append(there, k)
			}
		}
		found, gone, err := s.getAll(ctx, there, verbGet)
		if err != nil {
			return nil, err
		}
		_, still, err := s.getAll(ctx, key, verbGet)
		if err != nil {
			return nil, err
		}
		if len(gone) > 0 || !slices.Equal(missing, still) {
			continue
		}
		for _, at := range missing {
			found = slices.Insert(found, at, keys.Pair{Key: key[at]})
		}
		return found, nil
	}
	return nil, s.unavailable(fmt.Errorf("%s and others changed with each of %d reads", key[0], getTries))
}
