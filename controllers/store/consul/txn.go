// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The verbs that read.
const (
	verbGet        = string(api.KVGet)
	verbGetOrEmpty = string(api.KVGetOrEmpty)
)

// errBefore114 is the error of a server that does not know get-or-empty, or does not accept 128 operations.
var errBefore114 = errors.New("the server is older than Consul 1.14, try again")

// Txn applies all operations or none.
func (s *Store) Txn(ctx context.Context, ops []store.Op) (store.Result, error) {
	if err := store.CheckOps(ops, s.MaxOps()); err != nil {
		return store.Result{}, err
	}
	if len(ops) == 0 {
		return store.Result{}, ctx.Err()
	}
	answer, err := s.txn(ctx, ops)
	if err != nil {
		return store.Result{}, err
	}
	if len(answer.Errors) > 0 {
		return store.Result{}, s.refused(ops, answer.Errors)
	}
	index := make(map[string]uint64, len(answer.Results))
	for _, result := range answer.Results {
		if result.KV != nil {
			index[result.KV.Key] = result.KV.ModifyIndex
		}
	}
	return store.NewResult(ops, func(key string) uint64 { return index[key] }), nil
}

// txn sends the operations. Consul treats a transaction without a write as a read, so it is retried like one.
func (s *Store) txn(ctx context.Context, ops []store.Op) (answer api.TxnResponse, err error) {
	encoded := make(api.TxnOps, len(ops))
	writes := false
	for i, op := range ops {
		writes = writes || op.Verb.Writes()
		encoded[i] = &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVOp(op.Verb.String()), Key: op.Key, Value: op.Value,
			Flags: op.Flags, Index: op.Index, Session: op.Session}}
	}
	needs := needOp(ops[0])
	if writes {
		return s.sendTxn(ctx, "", encoded, s.write, needs)
	}
	return s.sendTxn(ctx, "", encoded, s.read, needs, s.mode())
}

// send is Store.read or Store.write.
type send func(context.Context, request, func(*http.Response) error) error

func (s *Store) sendTxn(ctx context.Context, kind string, ops api.TxnOps, by send, needs need,
	query ...string) (api.TxnResponse, error) {
	var answer api.TxnResponse
	body, err := json.Marshal(ops)
	if err != nil {
		return answer, err
	}
	r := request{kind: kind, method: http.MethodPut, path: "/v1/txn", query: query, body: body, needs: needs,
		accept: []int{http.StatusOK, http.StatusConflict}, compressed: true}
	err = by(ctx, r, func(response *http.Response) error {
		data, err := io.ReadAll(response.Body)
		if err != nil {
			return &lostError{err}
		}
		answer = api.TxnResponse{}
		if err := json.Unmarshal(data, &answer); err != nil {
			return fmt.Errorf("consul at %s: the answer cannot be read: %w", s.addr, err)
		}
		refused := response.StatusCode == http.StatusConflict
		if refused && len(answer.Errors) == 0 || !refused && answer.Results == nil {
			return fmt.Errorf("consul at %s: the answer to a transaction lacks its results: is this Consul?", s.addr)
		}
		return nil
	})
	if status, ok := errors.AsType[*statusError](err); ok && status.code == http.StatusRequestEntityTooLarge && len(ops) > opsBefore114 &&
		strings.Contains(status.text, "too many operations") {
		s.old.Store(true)
		return answer, fmt.Errorf("%w (%w)", errBefore114, err)
	}
	return answer, err
}

// refused returns the error of a refused transaction: a *store.ForbiddenError if the token lacks a rule, or else a
// *store.ConflictError.
func (s *Store) refused(ops []store.Op, failures api.TxnErrors) error {
	conflict := &store.ConflictError{}
	for _, failure := range failures {
		if failure.OpIndex < 0 || failure.OpIndex >= len(ops) {
			return fmt.Errorf("consul at %s: operation %d of %d failed: %s", s.addr, failure.OpIndex, len(ops), failure.What)
		}
		op, what := ops[failure.OpIndex], s.hide.Replace(failure.What)
		if denied(what) {
			needs := needOp(op)
			return &store.ForbiddenError{Key: needs.key, Policy: needs.rule, Err: errors.New(what)}
		}
		conflict.Failed = append(conflict.Failed, store.FailedOp{Index: failure.OpIndex, Op: op, What: what})
	}
	return conflict
}

func denied(what string) bool { return strings.Contains(what, "Permission denied") }

// needOp is the ACL rule for an operation.
func needOp(op store.Op) need {
	switch op.Verb {
	case store.CheckIndex, store.CheckSession:
		return needKey(op.Key, "read")
	case store.DeleteTree:
		return needPrefix(op.Key, "write")
	}
	return needKey(op.Key, "write")
}

// getAll reads keys in one transaction. The verb get refuses missing keys. Then getAll returns their places in key.
func (s *Store) getAll(ctx context.Context, key []string, verb string) (pairs []keys.Pair, missing []int, err error) {
	if len(key) == 0 {
		return nil, nil, nil
	}
	ops := make(api.TxnOps, len(key))
	for i, k := range key {
		ops[i] = &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVOp(verb), Key: k}}
	}
	answer, err := s.sendTxn(ctx, kindGet, ops, s.read, needKey(key[0], "read"), s.mode())
	if err != nil {
		return nil, nil, err
	}
	for _, failure := range answer.Errors {
		at, what := failure.OpIndex, s.hide.Replace(failure.What)
		switch {
		case verb == verbGetOrEmpty && strings.Contains(what, "unknown") && strings.Contains(what, verbGetOrEmpty):
			return nil, nil, errBefore114
		case at < 0 || at >= len(key):
			return nil, nil, fmt.Errorf("consul at %s: read of %d keys: %s", s.addr, len(key), what)
		case denied(what):
			needs := needKey(key[at], "read")
			return nil, nil, &store.ForbiddenError{Key: needs.key, Policy: needs.rule, Err: errors.New(what)}
		case verb == verbGet && strings.Contains(what, "doesn't exist"):
			missing = append(missing, at)
		default:
			return nil, nil, fmt.Errorf("consul at %s: read of %s: %s", s.addr, key[at], what)
		}
	}
	if len(missing) > 0 {
		return nil, missing, nil
	}
	pairs, err = s.inOrder(key, answer.Results)
	return pairs, nil, err
}

// inOrder returns a pair for each key. Consul leaves out of the results what an ACL hides.
func (s *Store) inOrder(key []string, results api.TxnResults) ([]keys.Pair, error) {
	pairs := make([]keys.Pair, len(key))
	for i, k := range key {
		if i >= len(results) || results[i].KV == nil || results[i].KV.Key != k {
			needs := needKey(k, "read")
			return nil, &store.ForbiddenError{Key: needs.key, Policy: needs.rule,
				Err: errors.New("the answer leaves it out")}
		}
		kv := results[i].KV
		pairs[i] = keys.Pair{Key: kv.Key, Value: kv.Value, Flags: kv.Flags, CreateIndex: kv.CreateIndex,
			ModifyIndex: kv.ModifyIndex, Session: kv.Session}
		if len(kv.Value) == 0 {
			pairs[i].Value = nil
		}
	}
	return pairs, nil
}
