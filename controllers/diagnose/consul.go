// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// oldestConsul is the oldest version of Consul that this project is tested with.
	oldestConsul = "1.14.0"
	// maxClockOffset is how far a clock may be off.
	maxClockOffset = time.Minute
	// smallestLimit is the least that Consul must accept as a value and as a transaction: its default.
	smallestLimit = 512 << 10
)

// Consul is what was read about Consul. An error says why a fact could not be read.
type Consul struct {
	Address    string
	Leader     string
	LeaderErr  error
	Servers    []store.Server
	ServersErr error
	Agent      store.AgentInfo
	AgentErr   error
	// Offset is how far the clock of Consul is ahead of that of this process, or behind if negative.
	Offset    time.Duration
	OffsetErr error
}

// CheckConsul returns the findings about Consul. If answers is false, nothing else can be read.
func CheckConsul(c *Consul) (found []Finding, answers bool) {
	var f Findings
	switch {
	case c.LeaderErr != nil:
		f.Add(Problem, "consul", "check --http-addr or CONSUL_HTTP_ADDR, and whether Consul runs there", "%v", c.LeaderErr)
		return f, false
	case c.Leader == "":
		f.Add(Problem, "consul", "look at consul operator raft list-peers", "Consul at %s has no leader: nothing can be written", c.Address)
		return f, false
	}
	f.Add(OK, "consul", "", "Consul at %s answers; its leader is %s", c.Address, c.Leader)
	f.version(c)
	f.limits(c)
	switch {
	case c.OffsetErr != nil:
		f.Add(Unknown, "clocks", "", "the clock of Consul is unknown: %v", c.OffsetErr)
	case c.Offset.Abs() > maxClockOffset:
		f.Add(Warning, "clocks", "synchronize both clocks, as with chrony", "the clock of Consul is %s %s that of this machine",
			c.Offset.Abs().Round(time.Second), aheadOrBehind(c.Offset))
	default:
		f.Add(OK, "clocks", "", "the clock of Consul agrees with that of this machine")
	}
	return f, true
}

func (f *Findings) version(c *Consul) {
	servers := c.Servers
	if len(servers) == 0 && c.AgentErr == nil {
		servers = []store.Server{{Name: c.Agent.Node, Version: c.Agent.Version}}
	}
	var old, versions []string
	for _, s := range servers {
		version, err := semver.NewVersion(s.Version)
		if err != nil {
			continue
		}
		if version.LessThan(semver.MustParse(oldestConsul)) && version.Prerelease() == "" {
			old = append(old, s.Name+" "+s.Version)
		}
		versions = append(versions, s.Version)
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	switch {
	case len(versions) == 0:
		f.Add(Unknown, "version", `give the token service "consul" { policy = "read" } and node_prefix "" { policy = "read" }`,
			"the version of Consul is unknown%s", because(c.ServersErr))
	case len(old) > 0:
		f.Add(Problem, "version", "upgrade these servers to Consul 1.14 or later", "servers are older than Consul 1.14: %s", List(old))
	default:
		f.Add(OK, "version", "", "%s: Consul %s", wording.Count(len(servers), "server"), strings.Join(versions, ", "))
	}
}

func (f *Findings) limits(c *Consul) {
	a := c.Agent
	switch {
	case c.AgentErr != nil || a.MaxValue == 0 || a.MaxTxn == 0:
		f.Add(Unknown, "limits", "", `the limits of Consul are unknown: the token needs agent_prefix "" { policy = "read" }`)
	case a.MaxValue < smallestLimit || a.MaxTxn < smallestLimit:
		f.Add(Problem, "limits", fmt.Sprintf("set limits.kv_max_value_size and limits.txn_max_req_len to %d at least", smallestLimit),
			"Consul accepts values of %d bytes and transactions of %d bytes", a.MaxValue, a.MaxTxn)
	default:
		f.Add(OK, "limits", "", "Consul accepts values of %d bytes and transactions of %d bytes", a.MaxValue, a.MaxTxn)
	}
}

// because appends an error to a message. Nil appends nothing.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func aheadOrBehind(offset time.Duration) string {
	if offset < 0 {
		return "behind"
	}
	return "ahead of"
}
