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
	var nodes, checks bytes.Buffer
	for i := range 100_000 {
		open := ","
		if i == 0 {
			open = "["
		}
		name := fmt.Sprintf("compute%06d-dc1", i)
		fmt.Fprintf(&nodes, `%s{"ID":"462b4f57-ceb9-5df0-af52-%012x","Node":%q,"Address":"10.0.0.1","Datacenter":"dc1",`+
			`"TaggedAddresses":{"lan":"10.0.0.1","lan_ipv4":"10.0.0.1","wan":"10.0.0.1","wan_ipv4":"10.0.0.1"},`+
			`"Meta":{"consul-network-segment":"","consul-version":"1.22.5"},"CreateIndex":%d,"ModifyIndex":%[4]d}`, open, i, name, 20+i/64)
		fmt.Fprintf(&checks, `%s{"Node":%q,"CheckID":"serfHealth","Name":"Serf Health Status","Status":"critical","Notes":"",`+
			`"Output":"Agent not live or unreachable","ServiceID":"","ServiceName":"","ServiceTags":[],"Type":"","Interval":"",`+
			`"Timeout":"","ExposedPort":0,"Definition":{},"CreateIndex":%d,"ModifyIndex":%[3]d}`, open, name, 20+i/64)
	}
	nodes.WriteString("]")
	checks.WriteString("]")
	b.Run("Nodes", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(nodes.Len()))
		for b.Loop() {
			if names, err := decodeNodes(bytes.NewReader(nodes.Bytes())); err != nil || len(names) != 100_000 {
				b.Fatal(len(names), err)
			}
		}
	})
	b.Run("Checks", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(checks.Len()))
		for b.Loop() {
			if bad, err := decodeChecks(bytes.NewReader(checks.Bytes())); err != nil || len(bad) != 100_000 {
				b.Fatal(len(bad), err)
			}
		}
	})
}
