// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// Rule is one rule of an ACL policy, and an access that a token has only with it.
type Rule struct {
	// Text is the rule as policies spell it.
	Text   string
	Access store.Access
	// Optional says that only some fleets need it.
	Optional bool
}

// Subject is whom a policy is for. It replaces HOST and NODE in the policy, and adds the key prefix of a fleet.
type Subject struct {
	// Host is the host of an agent, and Node the node whose Consul agent a controller uses.
	Host, Node string
	// Prefix is the key prefix of the fleet. Empty means none.
	Prefix string
}

var (
	ruleLine = regexp.MustCompile(`(?m)^(key|node|service|session)(_prefix)? +"([^"]*)" +\{ policy = "(\w+)" \}$`)
	// fleetKey begins the keys before which the key prefix of a fleet stands.
	fleetKey = regexp.MustCompile(`^(current_version|config_state|config_version|running|` +
		`upgrade\.jiocloud\.com/(grants|hosts|started|holds|action))`)
)

// Rules returns the rules of a policy of this project. Other policies may have rules that it leaves out.
func Rules(policy string, s Subject) []Rule {
	var rules []Rule
	for _, m := range ruleLine.FindAllStringSubmatch(policy, -1) {
		resource, prefix, segment, level := m[1], m[2], m[3], m[4]
		segment = strings.NewReplacer("HOST", s.Host, "NODE", s.Node).Replace(segment)
		if s.Prefix != "" && resource == "key" && fleetKey.MatchString(segment) {
			segment = s.Prefix + "/" + segment
		}
		access := level
		if resource == "key" && prefix != "" && level == "write" {
			access = "write-prefix"
		}
		rules = append(rules, Rule{Optional: optional(resource, segment, s),
			Text:   fmt.Sprintf("%s%s %q { policy = %q }", resource, prefix, segment, level),
			Access: store.Access{Resource: resource, Segment: segment, Access: access}})
	}
	return rules
}

// optional reports whether a policy can do without a rule: those of the catalog are for health gates and checks, and an agent reads
// settings and the old tree for scripts alone.
func optional(resource, segment string, s Subject) bool {
	return resource == "node" || resource == "service" || strings.HasSuffix(segment, "/controllers/") ||
		s.Host != "" && (strings.HasSuffix(segment, "config_version/") || strings.HasSuffix(segment, "running_version/"))
}

// Rights are the rules of a policy, and which of them a token has. Allowed is nil if ACLs are disabled.
type Rights struct {
	// Role is the name of the policy, and Policy its file.
	Role, Policy string
	Rules        []Rule
	Allowed      []bool
	// Required says that the token must have all of them.
	Required bool
	// NodeUnknown says that the rules about sessions are left out, which are about a node that is not known.
	NodeUnknown bool
}

// missing returns the texts of the rules that the token lacks.
func (r *Rights) missing() (needed, optional []string) {
	for i, rule := range r.Rules {
		switch {
		case i >= len(r.Allowed) || r.Allowed[i]:
		case rule.Optional:
			optional = append(optional, rule.Text)
		default:
			needed = append(needed, rule.Text)
		}
	}
	return needed, optional
}

// Check returns one finding about the rights.
func (r *Rights) Check() Finding {
	needed, optional := r.missing()
	f := Finding{Level: OK, Check: "acl"}
	switch {
	case len(needed) > 0:
		f.Message = fmt.Sprintf("the token may not act as %s: it lacks %s: %s", r.Role, wording.Count(len(needed), "rule"), List(needed))
		if r.Required {
			f.Level, f.Action = Problem, "give the token the policy "+r.Policy
		}
		return f
	case len(optional) > 0:
		f.Message = fmt.Sprintf("the token may act as %s, without %s that not every fleet needs: %s", r.Role,
			wording.Count(len(optional), "rule"), List(optional))
	default:
		f.Message = "the token may act as " + r.Role
	}
	if r.NodeUnknown {
		f.Level, f.Action = Unknown, "give the node of its Consul agent with --node"
		f.Message += ", except perhaps to write sessions"
	}
	return f
}
