// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"fmt"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	var named, listed bytes.Buffer
	for i := range 100_000 {
		key := fmt.Sprintf("config_state/enable_puppet/host/compute%06d-dc1", i)
		open := ",\n"[:1]
		if i == 0 {
			open = "["
		}
		fmt.Fprintf(&named, "%s%q", open, key)
		fmt.Fprintf(&listed, `%s{"LockIndex":0,"Key":%q,"Flags":1782000000,"Value":"VHJ1ZQ==","CreateIndex":%d,"ModifyIndex":%d}`,
			open, key, 20+i/64, 20+i/64)
	}
	named.WriteString("]")
	listed.WriteString("]")
	b.Run("Keys", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(named.Len()))
		for b.Loop() {
			if names, err := decodeKeys(bytes.NewReader(named.Bytes())); err != nil || len(names) != 100_000 {
				b.Fatal(len(names), err)
			}
		}
	})
	b.Run("List", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(listed.Len()))
		for b.Loop() {
			if pairs, err := decodePairs(bytes.NewReader(listed.Bytes())); err != nil || len(pairs) != 100_000 {
				b.Fatal(len(pairs), err)
			}
		}
	})
}
