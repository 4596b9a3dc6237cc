// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"testing"
	"testing/iotest"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// decoded is what each decoder makes of an answer.
func decoded(body func() io.Reader) []any {
	names, namesErr := decodeKeys(body())
	pairs, pairsErr := decodePairs(body())
	txn, txnErr := decodeTxn(body())
	nodes, nodesErr := decodeNodes(body())
	checks, checksErr := decodeChecks(body())
	nodeChecks, nodeChecksErr := decodeNodeChecks(body())
	text, textErr := decodeString(body())
	servers, serversErr := decodeServers(body())
	return []any{names, namesErr == nil, pairs, pairsErr == nil, txn, txnErr == nil, nodes, nodesErr == nil, checks, checksErr == nil,
		nodeChecks, nodeChecksErr == nil, text, textErr == nil, servers, serversErr == nil}
}

// FuzzDecodeAnswers decodes answers of Consul, or of another server at its address. They are the same in whole and in pieces, and
// there are as many pairs as encoding/json finds.
func FuzzDecodeAnswers(f *testing.F) {
	const pair = `{"LockIndex":0,"Key":"a\u002fb","Flags":7,"Value":"aGVsbG8=","CreateIndex":1,"ModifyIndex":2,"Session":"s"}`
	for _, text := range []string{
		`["a","b\n","\ud800"]`, "[" + pair + "," + pair + "]", `{"Results":[{"KV":` + pair + `},{"Service":{}}],"Errors":null}`,
		`{"Results":null,"Errors":[{"OpIndex":1,"What":"lock is held"}]}`, `[{"Node":"web1","Address":"x"}]`,
		`[{"Node":"web1","CheckID":"serfHealth","Status":"critical","ServiceID":"","Output":"x"}]`, `"10.0.0.1:8300"`, "null", "[]", "{}", "", "[",
		`[{"Key":"a","Key":"b","ModifyIndex":2}]`, `[{"Key":"a","Value":"!","ModifyIndex":-1}]`, `[{"Key":"a","ModifyIndex":1e3}]`, "[[[[[[",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := decoded(func() io.Reader { return bytes.NewReader(data) })
		if pieces := decoded(func() io.Reader { return iotest.OneByteReader(bytes.NewReader(data)) }); !reflect.DeepEqual(whole, pieces) {
			t.Errorf("whole %+v, in pieces %+v", whole, pieces)
		}
		pairs, err := decodePairs(bytes.NewReader(data))
		if err != nil {
			return
		}
		var want []struct {
			keys.Pair
			Value []byte
		}
		if json.Unmarshal(data, &want) != nil {
			return // it is stricter about the rest of the answer
		}
		if len(want) != len(pairs) {
			t.Fatalf("%d pairs, want %d", len(pairs), len(want))
		}
		for _, p := range pairs {
			if p.Key == "" || p.ModifyIndex == 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}
