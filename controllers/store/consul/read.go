// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// List returns all pairs below prefix. Without a token, Consul does not say that it filtered them.
func (s *Store) List(ctx context.Context, prefix string) (pairs []keys.Pair, meta store.Meta, err error) {
	err = s.below(ctx, prefix, listing{kind: kindList, parameter: "recurse"}, &meta, func(body io.Reader) (err error) {
		pairs, err = decodePairs(body)
		return err
	}, func() { pairs = nil })
	return pairs, meta, err
}

// Keys returns all keys below prefix. Without a token, Consul does not say that it filtered them. With store.ExpectFew it
// compresses an answer of at least 1400 bytes.
func (s *Store) Keys(ctx context.Context, prefix string, hints ...store.ReadHint) (names []string, meta store.Meta, err error) {
	l := listing{kind: kindKeys, parameter: "keys", compressed: slices.Contains(hints, store.ExpectFew)}
	err = s.below(ctx, prefix, l, &meta, func(body io.Reader) (err error) {
		names, err = decodeKeys(body)
		return err
	}, func() { names = nil })
	return names, meta, err
}

// listing says what to read below a prefix.
type listing struct {
	kind       string // for Config.Observe
	parameter  string // of Consul's API
	compressed bool
}

// below reads what is below a prefix. It calls none if there is nothing.
func (s *Store) below(ctx context.Context, prefix string, l listing, meta *store.Meta, decode func(io.Reader) error,
	none func()) error {
	r := request{kind: l.kind, method: http.MethodGet, path: "/v1/kv/" + prefix, query: []string{l.parameter, s.mode()},
		needs: needPrefix(prefix, "list"), accept: []int{http.StatusOK, http.StatusNotFound}, compressed: l.compressed}
	return s.read(ctx, r, func(response *http.Response) (err error) {
		if *meta, err = s.meta(response); err != nil {
			return err
		}
		if response.StatusCode == http.StatusNotFound {
			none()
			return nil
		}
		return s.decodeError(prefix, decode(response.Body))
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

// decodeError tells an answer that was cut off, which may be read again, from one that is not what Consul sends or is too large.
func (s *Store) decodeError(what string, err error) error {
	_, syntax := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooLarge):
		return &store.TooLargeError{What: what, Err: err}
	case errors.Is(err, errShape) || syntax && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("consul at %s: the answer cannot be read: %w", s.addr, err)
	}
	return &lostError{err}
}

// Get reads the keys in one transaction, or in several if there are more than MaxOps. For a key that an ACL hides it returns a
// *store.ForbiddenError, because the key must not look as if it did not exist.
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

// getChunk reads as many of the keys as fit one transaction.
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

// getTries is how often getBefore114 reads keys that change while it reads them.
const getTries = 5

// getBefore114 reads keys with transactions that are refused if a key is missing. A refusal says which keys are missing. Then it
// reads the others, and checks that the same keys are still missing, so that none of them existed at the moment of the read.
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
	return nil, s.unavailable(fmt.Errorf("%s and other keys changed during each of %d reads", key[0], getTries))
}
