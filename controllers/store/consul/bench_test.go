// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

const benchHosts = 100_000

// BenchmarkRead reads the two trees of a fleet of 100,000 hosts from a real single server, beside the same requests
// whose answers are thrown away: as near to nothing as a client can do.
func BenchmarkRead(b *testing.B) {
	agent := consultest.StartWith(b, consuldev.Options{Server: true})
	s := open(b, consul.Config{Address: agent.Addr()})
	records, enabled := keys.Layout{}.RecordTree(), keys.Layout{}.EnableTree()
	fill(b, s, func(host string) []store.Op {
		return []store.Op{
			{Verb: store.Set, Key: keys.Layout{}.Record("v2", host), Value: []byte("1782000000")},
			{Verb: store.Set, Key: keys.Layout{}.EnableHost(host), Value: []byte(keys.Enabled), Flags: 1782000000},
		}
	})
	for _, tree := range []struct{ name, prefix string }{{"records", records}, {"enabled", enabled}} {
		for _, what := range []string{"recurse", "keys"} {
			b.Run(tree.name+"/raw-"+what, func(b *testing.B) {
				for b.Loop() {
					discard(b, agent.Addr(), tree.prefix, what)
				}
			})
		}
		b.Run(tree.name+"/Keys", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if names, _, err := s.Keys(b.Context(), tree.prefix); err != nil || len(names) != benchHosts {
					b.Fatal(len(names), err)
				}
			}
		})
		b.Run(tree.name+"/List", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if pairs, _, err := s.List(b.Context(), tree.prefix); err != nil || len(pairs) != benchHosts {
					b.Fatal(len(pairs), err)
				}
			}
		})
	}
	b.Run("both/raw-recurse-one-after-the-other", func(b *testing.B) {
		for b.Loop() {
			discard(b, agent.Addr(), records, "recurse")
			discard(b, agent.Addr(), enabled, "recurse")
		}
	})
	b.Run("both/Keys-and-List-at-once", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var both sync.WaitGroup
			both.Go(func() {
				if names, _, err := s.Keys(b.Context(), records); err != nil || len(names) != benchHosts {
					b.Error(len(names), err)
				}
			})
			both.Go(func() {
				if pairs, _, err := s.List(b.Context(), enabled); err != nil || len(pairs) != benchHosts {
					b.Error(len(pairs), err)
				}
			})
			both.Wait()
		}
	})
}

// discard reads an answer and throws it away, as `curl -o /dev/null` does.
func discard(b *testing.B, addr, prefix, what string) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "http://"+addr+"/v1/kv/"+prefix+"?"+what, nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "identity") // as curl
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		b.Fatal(err)
	}
	_ = response.Body.Close()
}

// BenchmarkTxn writes 128 keys in one transaction.
func BenchmarkTxn(b *testing.B) {
	s := open(b, consul.Config{Address: consultest.StartWith(b, consuldev.Options{Server: true}).Addr()})
	ops := make([]store.Op, store.MaxOps)
	n := uint64(0)
	for b.Loop() {
		n++
		for i := range ops {
			ops[i] = store.Op{Verb: store.Set, Key: keys.Layout{}.EnableHost(fmt.Sprintf("host%d", i)),
				Value: []byte(keys.Enabled), Flags: n}
		}
		if _, err := s.Txn(b.Context(), ops); err != nil {
			b.Fatal(err)
		}
	}
}

func fill(b *testing.B, s store.Store, of func(host string) []store.Op) {
	b.Helper()
	var ops []store.Op
	for i := range benchHosts {
		ops = append(ops, of(fmt.Sprintf("compute%d-dc1", i))...)
	}
	for chunk := range slices.Chunk(ops, store.MaxOps) {
		if _, err := s.Txn(b.Context(), chunk); err != nil {
			b.Fatal(err)
		}
	}
}
