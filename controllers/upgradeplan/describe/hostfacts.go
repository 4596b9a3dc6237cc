// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// Facts returns what is known about the host, with one fact for each of the records. They may be nil.
func (h *Host) Facts(o *pass.Assessment, records []keys.Pair) []Fact {
	list := []Fact{
		{"Name", h.Name},
		{"Role", h.roleText(o)},
		{"Group", h.Group},
		{"Plan", planName(o)},
		{"State", h.State},
		{"Reason", h.Reason},
		{"Message", h.Message},
		{"Version", cmp.Or(h.Version, "none")},
		{"Current version", currentText(o)},
		{"Counts", YesNo(h.Counts)},
		{"In flight", YesNo(h.InFlight)},
		{"Agent", h.agentText()},
		{"Decided by", h.DecidedBy.text()},
		{"Paused by", cmp.Or(h.PausedBy, "none")},
		{"Hold", holdText(h.Hold)},
		{"Started", startedText(h.Started)},
		{"Report", reportText(h.Report)},
		{"Clock", h.clockText()},
		{"Checks", h.checksText()},
	}
	for _, p := range records {
		text := fmt.Sprintf("%s (%s, index %d)", p.Key, cmp.Or(Stamp(keys.DecodeTime(p.Value)), "no time"), p.ModifyIndex)
		list = append(list, Fact{"Record", text})
	}
	return list
}

// roleText is the role by the plan and, if it differs, the role under which the host looks up its keys.
func (h *Host) roleText(o *pass.Assessment) string {
	role := cmp.Or(h.Role, "none")
	if host, ok := o.Fleet.Host(h.Name); ok && host.LookupRole != h.Role {
		role += " by the plan, " + cmp.Or(host.LookupRole, "none") + " by the host"
	}
	return role
}

func (h *Host) agentText() string {
	switch {
	case !h.Agent:
		return "never seen as one"
	case h.AgentVersion() == "":
		return "yes"
	}
	return "yes, " + h.AgentVersion()
}

func (h *Host) clockText() string {
	if h.ClockOffsetSeconds == 0 {
		return ""
	}
	return rollout.ClockOffsetText(time.Duration(h.ClockOffsetSeconds)*time.Second) + "; nothing is decided by it"
}

func (h *Host) checksText() string {
	if len(h.Checks) == 0 {
		return ""
	}
	var parts []string
	for _, c := range h.Checks {
		if c.Status == string(fleet.Maintenance) {
			parts = append(parts, "the node is in maintenance")
		} else {
			parts = append(parts, c.ID+" is "+c.Status)
		}
	}
	text := strings.Join(parts, ", ")
	if h.Unhealthy {
		text += "; some failed already at its grant"
	}
	return text
}

func (k *DecidingKey) text() string {
	if k == nil {
		return "no key is set"
	}
	text := fmt.Sprintf("%s = %s (index %d", k.Key, k.Value, k.ModifyIndex)
	if since := Stamp(k.GrantedAt); since != "" {
		text += ", granted " + since
	}
	return text + ")"
}

func currentText(o *pass.Assessment) string {
	if o.Fleet.Current.Index == 0 {
		return "none"
	}
	return fmt.Sprintf("%s (index %d)", o.Fleet.Current.Name, o.Fleet.Current.Index)
}

func holdText(h *fleet.Hold) string {
	if h == nil {
		return "none"
	}
	text := cmp.Or(h.Reason, "without a reason")
	if h.Owner != "" {
		text += ", by " + h.Owner
	}
	if !h.Expires.IsZero() {
		text += ", until " + Stamp(h.Expires)
	}
	if h.Exempt {
		text += ", exempt"
	}
	return text
}

func startedText(s *fleet.Started) string {
	if s == nil {
		return "no"
	}
	text := fmt.Sprintf("%s at %s", cmp.Or(s.Version, "an unknown version"), cmp.Or(Stamp(s.Time), "an unknown time"))
	if s.From != "" {
		text += " from " + s.From
	}
	if s.By != "" {
		text += ", marked by the " + s.By
	}
	return text
}

func reportText(r *fleet.Report) string {
	if r == nil {
		return ""
	}
	text := fmt.Sprintf("%s %s at %s", cmp.Or(string(r.Phase), "unknown phase"), r.Version, cmp.Or(Stamp(r.Time), "an unknown time"))
	if r.Message != "" {
		text += ": " + r.Message
	}
	return text
}
