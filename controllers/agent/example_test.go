// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// A host at v1 has a grant for v2. One pass of its agent changes the version and reports it.
func ExampleAgent_Once() {
	ctx := context.Background()
	s := memory.New(time.Now)
	for _, op := range []store.Op{
		{Verb: store.Set, Key: "current_version", Value: []byte("v2")},
		{Verb: store.Set, Key: "config_state/enable_puppet/host/web1", Value: []byte("True")},
	} {
		if _, err := s.Txn(ctx, []store.Op{op}); err != nil {
			panic(err)
		}
	}
	version := &agent.MemoryVersion{}
	if err := version.SetVersion("v1"); err != nil {
		panic(err)
	}
	a, err := agent.New(agent.Options{
		Host:    "web1",
		Store:   s,
		Version: version,
		Step: func(_ context.Context, c agent.Change) (string, error) {
			fmt.Printf("step: %s from %s to %s\n", c.Host, c.From, c.To)
			return "", nil
		},
		Clock:  agent.SystemClock{},
		Random: func() float64 { return 0 },
	})
	if err != nil {
		panic(err)
	}
	verdict, err := a.Once(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println("verdict:", verdict.Change.Message)
	records, _, err := s.Keys(ctx, "running/versions/")
	if err != nil {
		panic(err)
	}
	fmt.Println("records:", records)
	// Output:
	// step: web1 from v1 to v2
	// verdict: enable_puppet of host web1 is "True"
	// records: [running/versions/v2/web1]
}
