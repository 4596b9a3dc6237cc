// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/fleetstore"
)

// stolen returns the key-value store as the agent of web1 can use it.
func stolen(t *testing.T, agent *consuldev.Agent) *api.KV {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: agent.Addr(), Token: consultest.Token(t, agent.Addr(), management, policy(t, "agent", "web1"))})
	if err != nil {
		t.Fatal(err)
	}
	return client.KV()
}

// One agent's token can write many large records of the current version, whose times soaks need. Reading them takes no memory.
func TestStolenToken_LargeValuesTakeNoMemory(t *testing.T) { // alone: it counts what the process allocates
	agent := newConsul(t, true)
	thief, l := stolen(t, agent), keys.Layout{}
	s, err := consul.New(consul.Config{Address: agent.Addr(), Token: management})
	if err != nil {
		t.Fatal(err)
	}
	all, err := api.NewClient(&api.Config{Address: agent.Addr(), Token: management})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.KV().Put(&api.KVPair{Key: l.CurrentVersion(), Value: []byte("v1")}, nil); err != nil {
		t.Fatal(err)
	}
	const records, size = 120, 500 << 10
	value := []byte(strings.Repeat("1", size))
	list := []string{l.Report("web1"), l.Started("web1"), l.Grant("web1")}
	for i := range records {
		list = append(list, l.Record("v1", fmt.Sprintf("web%d", i)))
	}
	for _, key := range list {
		if _, err := thief.Put(&api.KVPair{Key: key, Value: value}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read, err := fleetstore.ReadFleet(t.Context(), s, l, fleetstore.SnapshotOptions{Ages: true})
	runtime.ReadMemStats(&after)
	if err != nil || len(read.Records) != records || read.Incomplete != "" {
		t.Fatalf("%d records, %q, %v", len(read.Records), read.Incomplete, err)
	}
	allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("reading %d MiB allocated %d MiB", len(list)*size>>20, allocated)
	if allocated > 16 {
		t.Errorf("reading %d MiB allocated %d MiB", len(list)*size>>20, allocated)
	}
	f := keys.Decode(read, l, keys.Options{})
	if report := f.Hosts[1].Report; report == nil || !strings.Contains(report.Message, "has more than 16384 bytes") {
		t.Errorf("the report of %s is %+v", f.Hosts[1].Name, report)
	}
}

// The setting of docs/how-to/tls-and-acls.md refuses large values of any token, also in transactions, and plans are carried out.
func TestConsulLimits_RefuseLargeValues(t *testing.T) {
	t.Parallel()
	limits := regexp.MustCompile(`(?s)limits \{.*?\n\}`).FindString(read(t, "docs/how-to/tls-and-acls.md"))
	if limits == "" {
		t.Fatal("docs/how-to/tls-and-acls.md has no limits")
	}
	agent := consultest.StartWith(t, consuldev.Options{ManagementToken: management, Config: fmt.Sprintf("node_name = %q\n%s\n", node, limits)})
	thief, value := stolen(t, agent), make([]byte, 200<<10)
	record := keys.Layout{}.Record("v1", "web1")
	if _, err := thief.Put(&api.KVPair{Key: record, Value: value}, nil); err == nil {
		t.Error("a large record is written")
	}
	if ok, _, _, err := thief.Txn(api.KVTxnOps{{Verb: api.KVSet, Key: record, Value: value}}, nil); ok && err == nil {
		t.Error("a transaction wrote a large record")
	}
	rollOut(t, agent, "")
}
