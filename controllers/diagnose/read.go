// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// ReadConsul reads the facts about Consul. Now is the clock of this process.
func ReadConsul(ctx context.Context, i store.Inspector, address string, now func() time.Time) Consul {
	c := Consul{Address: address}
	if c.Leader, c.LeaderErr = i.Leader(ctx); c.LeaderErr != nil {
		return c
	}
	c.Servers, c.ServersErr = i.Servers(ctx)
	c.Agent, c.AgentErr = i.Agent(ctx)
	before := now()
	at, err := i.Clock(ctx)
	if c.OffsetErr = err; err == nil {
		c.Offset = at.Sub(before.Add(now().Sub(before) / 2))
	}
	return c
}

// CheckRights asks Consul which of the rules the token has. If the name of the node is not known, it leaves out the rules about
// sessions. Enabled is false if there are no rights to ask about.
func CheckRights(ctx context.Context, i store.Inspector, r Rights, nodeKnown bool) (f Finding, enabled bool) {
	if !nodeKnown {
		asked := slices.DeleteFunc(slices.Clone(r.Rules), func(rule Rule) bool { return rule.Access.Resource == "session" })
		r.NodeUnknown, r.Rules = len(asked) < len(r.Rules), asked
	}
	var accesses []store.Access
	for _, rule := range r.Rules {
		accesses = append(accesses, rule.Access)
	}
	allowed, err := i.Authorize(ctx, accesses)
	switch {
	case err != nil:
		f = Finding{Level: Unknown, Check: "acl", Message: fmt.Sprintf("the rights of the token are unknown: %v", err)}
		if _, denied := errors.AsType[*store.ForbiddenError](err); denied {
			f.Level, f.Action = Problem, "replace the token"
		}
		return f, false
	case allowed == nil:
		return Finding{Level: Warning, Check: "acl", Message: "ACLs are disabled: every client of Consul can grant hosts",
			Action: "enable ACLs, and create a token for each role"}, false
	}
	r.Allowed = allowed
	return r.Check(), true
}
