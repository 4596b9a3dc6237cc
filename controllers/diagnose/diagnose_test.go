// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jiocloud/upgrade-controller/config"
	"github.com/jiocloud/upgrade-controller/controllers/diagnose"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// lines returns findings as text, without those of the level ok.
func lines(found []diagnose.Finding) string {
	var all []string
	for _, f := range found {
		if f.Level != diagnose.OK {
			all = append(all, fmt.Sprintf("%s %s: %s", f.Level, f.Check, f.Message))
		}
	}
	return strings.Join(all, "\n")
}

func TestCheckConsul(t *testing.T) {
	healthy := func() diagnose.Consul {
		return diagnose.Consul{Address: "here", Leader: "127.0.0.1:8300",
			Servers: []store.Server{{Name: "a", Version: "1.22.1"}, {Name: "b", Version: "1.14.0"}},
			Agent:   store.AgentInfo{Node: "a", Version: "1.22.1", MaxValue: 512 << 10, MaxTxn: 512 << 10}}
	}
	for name, tt := range map[string]struct {
		change  func(c *diagnose.Consul)
		silent  bool
		want    string
		actions int
	}{
		"healthy":         {change: func(*diagnose.Consul) {}},
		"does not answer": {func(c *diagnose.Consul) { c.LeaderErr = errors.New("refused") }, true, "problem consul: refused", 1},
		"has no leader":   {func(c *diagnose.Consul) { c.Leader = "" }, true, "problem consul: Consul at here has no leader: nothing can be written", 1},
		"old server": {func(c *diagnose.Consul) { c.Servers[1].Version = "1.13.9" }, false,
			"problem version: servers are older than Consul 1.14: b 1.13.9", 1},
		"old agent alone": {func(c *diagnose.Consul) { c.Servers, c.Agent.Version = nil, "1.10.0" }, false,
			"problem version: servers are older than Consul 1.14: a 1.10.0", 1},
		"enterprise":  {change: func(c *diagnose.Consul) { c.Servers[0].Version = "1.18.2+ent" }},
		"development": {change: func(c *diagnose.Consul) { c.Servers[0].Version = "1.23.0-dev" }},
		"unknown version": {func(c *diagnose.Consul) { c.Servers, c.AgentErr = nil, errors.New("denied") }, false,
			"unknown version: the version of Consul is unknown\n" +
				`unknown limits: the limits of Consul are unknown: the token needs agent_prefix "" { policy = "read" }`, 1},
		"small limit": {func(c *diagnose.Consul) { c.Agent.MaxValue = 1000 }, false,
			"problem limits: Consul accepts values of 1000 bytes and transactions of 524288 bytes", 1},
		"ahead": {func(c *diagnose.Consul) { c.Offset = 61 * time.Second }, false,
			"warning clocks: the clock of Consul is 1m1s ahead of that of this machine", 1},
		"behind": {func(c *diagnose.Consul) { c.Offset = -2 * time.Hour }, false,
			"warning clocks: the clock of Consul is 2h0m0s behind that of this machine", 1},
		"a little off": {change: func(c *diagnose.Consul) { c.Offset = time.Minute }},
	} {
		t.Run(name, func(t *testing.T) {
			c := healthy()
			tt.change(&c)
			found, answers := diagnose.CheckConsul(&c)
			if got := lines(found); got != tt.want || answers == tt.silent {
				t.Errorf("%q (answers: %v), want %q", got, answers, tt.want)
			}
			if got := len(slices.DeleteFunc(found, func(f diagnose.Finding) bool { return f.Action == "" })); got != tt.actions {
				t.Errorf("%d actions, want %d", got, tt.actions)
			}
		})
	}
}

// TestRules_ReadEveryRuleOfEveryPolicy fails if a policy has a rule in a form that is not read.
func TestRules_ReadEveryRuleOfEveryPolicy(t *testing.T) {
	for _, role := range []string{"viewer", "operator", "controller", "agent"} {
		text := config.Policy(role)
		rules := diagnose.Rules(text, diagnose.Subject{Host: "web1", Node: "ctl1"})
		if want := strings.Count(text, "{ policy ="); len(rules) != want || want == 0 {
			t.Errorf("%s: %d rules, want %d", role, len(rules), want)
		}
		for _, r := range rules {
			if strings.Contains(r.Text, "HOST") || strings.Contains(r.Access.Segment, "NODE") {
				t.Errorf("%s: %+v", role, r)
			}
		}
	}
	if config.Policy("root") != "" {
		t.Error("there is a policy of root")
	}
}

func TestRules(t *testing.T) {
	for name, tt := range map[string]struct {
		rule    string
		subject diagnose.Subject
		want    string
	}{
		"key":              {`key "current_version" { policy = "read" }`, diagnose.Subject{}, "key current_version read"},
		"list":             {`key_prefix "running/versions/"  { policy = "list" }`, diagnose.Subject{}, "key running/versions/ list"},
		"whole tree":       {`key_prefix "running/versions/" { policy = "write" }`, diagnose.Subject{}, "key running/versions/ write-prefix"},
		"host":             {`key "upgrade.jiocloud.com/grants/HOST"  { policy = "write" }`, diagnose.Subject{Host: "web1"}, "key upgrade.jiocloud.com/grants/web1 write"},
		"session":          {`session "NODE" { policy = "write" }`, diagnose.Subject{Node: "ctl1"}, "session ctl1 write"},
		"catalog":          {`node_prefix "" { policy = "read" }`, diagnose.Subject{}, "node  read optional"},
		"key of the fleet": {`key "current_version" { policy = "read" }`, diagnose.Subject{Prefix: "eu"}, "key eu/current_version read"},
		"tree of the fleet": {`key_prefix "upgrade.jiocloud.com/started" { policy = "write" }`, diagnose.Subject{Prefix: "eu"},
			"key eu/upgrade.jiocloud.com/started write-prefix"},
		"not of the fleet": {`key_prefix "upgrade.jiocloud.com/plans/" { policy = "list" }`, diagnose.Subject{Prefix: "eu"}, "key upgrade.jiocloud.com/plans/ list"},
		"comment":          {`# key "a" { policy = "read" }`, diagnose.Subject{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, r := range diagnose.Rules(tt.rule, tt.subject) {
				got += fmt.Sprintf("%s %s %s", r.Access.Resource, r.Access.Segment, r.Access.Access)
				if r.Optional {
					got += " optional"
				}
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestRights_Check(t *testing.T) {
	rules := diagnose.Rules("key \"a\" { policy = \"read\" }\nnode_prefix \"\" { policy = \"read\" }\n", diagnose.Subject{})
	for name, tt := range map[string]struct {
		allowed  []bool
		required bool
		unknown  bool
		want     diagnose.Finding
	}{
		"sessions of an unknown node": {[]bool{true, true}, true, true, diagnose.Finding{Level: diagnose.Unknown, Check: "acl",
			Message: "the token may act as viewer, except perhaps to write sessions", Action: "give the node of its Consul agent with --node"}},
		"neither those nor others": {[]bool{false, true}, false, true, diagnose.Finding{Level: diagnose.OK, Check: "acl",
			Message: `the token may not act as viewer: it lacks 1 rule: key "a" { policy = "read" }`}},
		"all": {[]bool{true, true}, true, false, diagnose.Finding{Level: diagnose.OK, Check: "acl", Message: "the token may act as viewer"}},
		"without an optional rule": {[]bool{true, false}, true, false, diagnose.Finding{Level: diagnose.OK, Check: "acl",
			Message: `the token may act as viewer, without 1 rule that not every fleet needs: node_prefix "" { policy = "read" }`}},
		"not required": {[]bool{false, true}, false, false, diagnose.Finding{Level: diagnose.OK, Check: "acl",
			Message: `the token may not act as viewer: it lacks 1 rule: key "a" { policy = "read" }`}},
		"required": {[]bool{false, false}, true, false, diagnose.Finding{Level: diagnose.Problem, Check: "acl", Action: "give the token the policy P",
			Message: `the token may not act as viewer: it lacks 1 rule: key "a" { policy = "read" }`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := diagnose.Rights{Role: "viewer", Policy: "P", Rules: rules, Allowed: tt.allowed, Required: tt.required, NodeUnknown: tt.unknown}
			if got := r.Check(); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
