// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The verbs that read.
const (
	verbGet        = "get"
	verbGetOrEmpty = "get-or-empty"
)

// txnOp is one operation of a transaction, as Consul reads it.
type txnOp struct{ KV kvOp }

type kvOp struct {
	Verb, Key string
	Value     []byte `json:",omitempty"`
	Flags     uint64 `json:",omitempty"`
	Index     uint64 `json:",omitempty"`
	Session   string `json:",omitempty"`
}

// txnAnswer is the answer to a transaction.
type txnAnswer struct {
	// pairs are the results of operations that have one. Nil means that the answer has no results.
	pairs  []keys.Pair
	errors []txnError
}

type txnError struct {
	op   uint64 // its place in the transaction
	what string
}

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
	if len(answer.errors) > 0 {
		return store.Result{}, s.refused(ops, answer.errors)
	}
	index := make(map[string]uint64, len(answer.pairs))
	for _, p := range answer.pairs {
		index[p.Key] = p.ModifyIndex
	}
	return store.NewResult(ops, func(key string) uint64 { return index[key] }), nil
}

// txn sends the operations. Consul treats a transaction without a write as a read, so it is retried like one.
func (s *Store) txn(ctx context.Context, ops []store.Op) (txnAnswer, error) {
	encoded := make([]txnOp, len(ops))
	writes := false
	for i, op := range ops {
		writes = writes || op.Verb.Writes()
		encoded[i] = txnOp{kvOp{op.Verb.String(), op.Key, op.Value, op.Flags, op.Index, op.Session}}
	}
	needs := needOp(ops[0])
	if writes {
		return s.sendTxn(ctx, "", encoded, s.write, needs)
	}
	return s.sendTxn(ctx, "", encoded, s.read, needs, s.mode())
}

// errDeniedOp has credentials read again, and the transaction sent again if they changed: nothing of it was applied.
var errDeniedOp = &store.ForbiddenError{Err: errors.New("an operation is denied")}

// send is Store.read or Store.write.
type send func(context.Context, request, func(*http.Response) error) error

func (s *Store) sendTxn(ctx context.Context, kind string, ops []txnOp, by send, needs need, query ...string) (answer txnAnswer, err error) {
	body, err := json.Marshal(ops)
	if err != nil {
		return answer, err
	}
	if worthIndenting(ops) {
		query = append(query, "pretty")
	}
	r := request{kind: kind, method: http.MethodPut, path: "/v1/txn", query: query, body: body, needs: needs,
		accept: []int{http.StatusOK, http.StatusConflict}, compressed: true}
	err = by(ctx, r, func(response *http.Response) error {
		if answer, err = decodeTxn(response.Body); err != nil {
			return s.decodeError(needs.key, err)
		}
		refused := response.StatusCode == http.StatusConflict
		if refused && len(answer.errors) == 0 || !refused && answer.pairs == nil {
			return fmt.Errorf("consul at %s: the answer to a transaction lacks its results: is this Consul?", s.addr)
		}
		if slices.ContainsFunc(answer.errors, func(e txnError) bool { return denied(e.what) }) {
			return errDeniedOp
		}
		return nil
	})
	if errors.Is(err, errDeniedOp) {
		err = nil // the caller says which operation
	}
	if status, ok := errors.AsType[*statusError](err); ok && status.code == http.StatusRequestEntityTooLarge && len(ops) > opsBefore114 &&
		strings.Contains(status.text, "too many operations") {
		s.old.Store(true)
		return answer, fmt.Errorf("%w (%w)", errBefore114, err)
	}
	return answer, err
}

// Consul compresses an answer of at least minCompressed bytes. In the answer to a transaction a result has at least plainResult
// bytes besides its key and its value, and indentedResult if the answer is indented.
const (
	minCompressed  = 1400
	plainResult    = 87
	indentedResult = 240
)

// worthIndenting reports whether Consul compresses the answer to a transaction only if it is indented. Then the indented one takes a
// third of the bytes of the plain one.
func worthIndenting(ops []txnOp) bool {
	plain, indented := 0, 0
	for _, op := range ops {
		switch op.KV.Verb {
		case store.Delete.String(), store.DeleteCAS.String(), store.DeleteTree.String(), store.CheckNotExists.String(): // no result
		default:
			plain += plainResult + len(op.KV.Key)
			indented += indentedResult + len(op.KV.Key)
		}
	}
	return plain < minCompressed && indented >= minCompressed
}

// refused returns the error of a refused transaction: a *store.ForbiddenError if the token lacks a rule, or else a
// *store.ConflictError.
func (s *Store) refused(ops []store.Op, failures []txnError) error {
	conflict := &store.ConflictError{}
	for _, failure := range failures {
		if failure.op >= uint64(len(ops)) {
			return fmt.Errorf("consul at %s: operation %d of %d failed: %s", s.addr, failure.op, len(ops), failure.what)
		}
		op, what := ops[failure.op], s.credentials.withoutSecrets(failure.what)
		if denied(what) {
			needs := needOp(op)
			return &store.ForbiddenError{Key: needs.key, Policy: needs.rule, Err: errors.New(what)}
		}
		conflict.Failed = append(conflict.Failed, store.FailedOp{Index: int(failure.op), Op: op, What: what})
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
	ops := make([]txnOp, len(key))
	for i, k := range key {
		ops[i] = txnOp{kvOp{Verb: verb, Key: k}}
	}
	answer, err := s.sendTxn(ctx, kindGet, ops, s.read, needKey(key[0], "read"), s.mode())
	if err != nil {
		return nil, nil, err
	}
	for _, failure := range answer.errors {
		at, what := failure.op, s.credentials.withoutSecrets(failure.what)
		switch {
		case verb == verbGetOrEmpty && strings.Contains(what, "unknown") && strings.Contains(what, verbGetOrEmpty):
			return nil, nil, errBefore114
		case at >= uint64(len(key)):
			return nil, nil, fmt.Errorf("consul at %s: read of %d keys: %s", s.addr, len(key), what)
		case denied(what):
			needs := needKey(key[at], "read")
			return nil, nil, &store.ForbiddenError{Key: needs.key, Policy: needs.rule, Err: errors.New(what)}
		case verb == verbGet && strings.Contains(what, "doesn't exist"):
			missing = append(missing, int(at))
		default:
			return nil, nil, fmt.Errorf("consul at %s: read of %s: %s", s.addr, key[at], what)
		}
	}
	if len(missing) > 0 {
		return nil, missing, nil
	}
	if err := s.inOrder(key, answer.pairs); err != nil {
		return nil, nil, err
	}
	return answer.pairs[:len(key)], nil, nil
}

// inOrder returns an error unless there is a pair for each key. Consul leaves out of the results what an ACL hides.
func (s *Store) inOrder(key []string, pairs []keys.Pair) error {
	for i, k := range key {
		if i >= len(pairs) || pairs[i].Key != k {
			needs := needKey(k, "read")
			return &store.ForbiddenError{Key: needs.key, Policy: needs.rule, Err: errors.New("the answer leaves it out")}
		}
	}
	return nil
}
