// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/maintenance"
)

// Plan is a compiled plan: everything in the spec that has to be parsed is parsed. It must not be changed.
type Plan struct {
	*v1alpha1.UpgradePlan

	windows     maintenance.Windows
	rolePattern *regexp.Regexp // nil means the default pattern
	groups      []groupPattern
	limits      planLimits
	action      *fleet.Action // nil means none
	deadline    time.Duration
	minReady    time.Duration
	canarySoak  time.Duration
	minAgent    *version.Version // nil means any version
	// failedFirst says that hosts that failed in the rollout before are granted first.
	failedFirst bool
}

// planLimits are the limits and budgets of a plan. Nil means that there is none.
type planLimits struct {
	fleet, global *hostLimit
	roles         map[string]hostLimit // by role or group
	canaries      *hostLimit           // per role
	// maxFailed and maxUnhealthy have one budget of each spec that applies. All of them hold.
	maxFailed, maxUnhealthy []budget
}

type groupPattern struct {
	group   string
	pattern *regexp.Regexp
}

// CompilePlan parses the spec of a plan that has its defaults. The function zones resolves the IANA name of a time zone.
// A nil plan compiles to nil. A valid plan compiles without an error; the error names the field.
func CompilePlan(plan *v1alpha1.UpgradePlan, zones func(string) (*time.Location, error)) (*Plan, error) {
	if plan == nil {
		return nil, nil
	}
	spec := &plan.Spec
	p := &Plan{
		UpgradePlan: plan,
		deadline:    time.Duration(v1alpha1.DefaultProgressDeadlineSeconds) * time.Second,
		minReady:    time.Duration(spec.MinReadySeconds) * time.Second,
	}
	if spec.ProgressDeadlineSeconds != nil {
		p.deadline = time.Duration(*spec.ProgressDeadlineSeconds) * time.Second
	}
	if spec.Canary.Given() {
		p.canarySoak = time.Duration(spec.Canary.SoakSeconds) * time.Second
	}
	var err error
	if p.windows, err = compileWindows(spec.Windows, zones); err != nil {
		return nil, err
	}
	if p.action, err = compileAction(spec); err != nil {
		return nil, fmt.Errorf("spec.action.timeout: %w", err)
	}
	if spec.Hosts.RolePattern != "" {
		if p.rolePattern, err = regexp.Compile(spec.Hosts.RolePattern); err != nil {
			return nil, fmt.Errorf("spec.hosts.rolePattern: %w", err)
		}
	}
	if p.minAgent, err = compileMinAgent(spec); err != nil {
		return nil, err
	}
	if p.groups, err = compileGroups(spec.Instructions.GroupMappings); err != nil {
		return nil, err
	}
	p.limits, err = compileLimits(spec)
	return p, err
}

func compileWindows(windows v1alpha1.Windows, zones func(string) (*time.Location, error)) (maintenance.Windows, error) {
	w, err := maintenance.Compile(windows, zones)
	if err != nil {
		return w, fmt.Errorf("spec.%w", err)
	}
	return w, nil
}

// orEmpty returns the plan, or one without rules when there is none.
func (p *Plan) orEmpty() *Plan {
	if p != nil {
		return p
	}
	return &Plan{UpgradePlan: &v1alpha1.UpgradePlan{}, deadline: time.Duration(v1alpha1.DefaultProgressDeadlineSeconds) * time.Second}
}

// Windows returns the maintenance windows of the plan.
func (p *Plan) Windows() maintenance.Windows { return p.windows }

// RolePattern returns the pattern that finds the role in the name of a host. Nil means the default.
func (p *Plan) RolePattern() *regexp.Regexp {
	if p == nil {
		return nil
	}
	return p.rolePattern
}

// Deadline returns how long a host in flight may be silent. Without a plan it is the default.
func (p *Plan) Deadline() time.Duration { return p.orEmpty().deadline }

// MaxFailed returns each failurePolicy.maxFailed that applies, as the spec has it. Only a rollback has several.
func (p *Plan) MaxFailed() []string { return textsOf(p.limits.maxFailed) }

// MaxUnhealthy returns each healthGate.maxUnhealthy that applies, as the spec has it. Only a rollback has several.
func (p *Plan) MaxUnhealthy() []string { return textsOf(p.limits.maxUnhealthy) }

func textsOf(budgets []budget) []string {
	var texts []string
	for _, b := range budgets {
		if !slices.Contains(texts, b.text) {
			texts = append(texts, b.text)
		}
	}
	return texts
}

// Attempts returns after how many failed attempts a host is set aside. Zero means never.
func (p *Plan) Attempts() int {
	policy := p.orEmpty().Spec.FailurePolicy
	if policy.SetAside != v1alpha1.SetAsideFailed {
		return 0
	}
	return cmp.Or(policy.AfterAttempts, v1alpha1.DefaultAfterAttempts)
}

// Soak returns how far back the plan needs to know when a host was upgraded. Zero means that it does not need to.
func (p *Plan) Soak() time.Duration { return max(p.minReady, p.canarySoak) }

// NeedsAges reports whether the plan needs to know when legacy hosts reached the version.
func (p *Plan) NeedsAges() bool {
	least := p.Spec.MinUpgradeSeconds
	return p.Soak() > 0 || least != nil && *least > 0
}

// compileAction returns the action of a plan for the version that it goes with, or nil.
func compileAction(spec *v1alpha1.UpgradePlanSpec) (*fleet.Action, error) {
	if !spec.Action.Given() {
		return nil, nil
	}
	a := &fleet.Action{Version: spec.Version, Name: spec.Action.Name, Args: spec.Action.Args}
	if spec.Action.Timeout == "" {
		return a, nil
	}
	timeout, err := time.ParseDuration(spec.Action.Timeout)
	a.TimeoutSeconds = int64(timeout.Seconds())
	return a, err
}

// compileGroups sorts the patterns by the name of their group. They match from the start of a role, as Python's re.match.
func compileGroups(mappings map[string]v1alpha1.StringList) ([]groupPattern, error) {
	var groups []groupPattern
	for _, name := range fleet.NaturalKeys(mappings) {
		for _, text := range mappings[name] {
			pattern, err := regexp.Compile("^(?:" + text + ")")
			if err != nil {
				return nil, fmt.Errorf("spec.instructions.groupMappings[%s]: %w", name, err)
			}
			groups = append(groups, groupPattern{name, pattern})
		}
	}
	return groups, nil
}

func compileLimits(spec *v1alpha1.UpgradePlanSpec) (planLimits, error) {
	rules := &spec.Instructions.RollingRules
	out := planLimits{roles: make(map[string]hostLimit, len(rules.Roles))}
	var maxFailed, maxUnhealthy *hostLimit
	for _, one := range []struct {
		field string
		from  *intstr.IntOrString
		to    **hostLimit
	}{
		{"instructions.rollingRules.fleet", rules.Fleet, &out.fleet},
		{"instructions.rollingRules.global", rules.Global, &out.global},
		{"canary.perRole", spec.Canary.PerRole, &out.canaries},
		{"failurePolicy.maxFailed", spec.FailurePolicy.MaxFailed, &maxFailed},
		{"healthGate.maxUnhealthy", spec.HealthGate.MaxUnhealthy, &maxUnhealthy},
	} {
		if one.from == nil {
			continue
		}
		limit, err := parseHostLimit(*one.from)
		if err != nil {
			return out, fmt.Errorf("spec.%s: %w", one.field, err)
		}
		*one.to = &limit
	}
	if maxFailed != nil {
		out.maxFailed = []budget{{hostLimit: *maxFailed, field: "failurePolicy.maxFailed"}}
	}
	if maxUnhealthy != nil {
		out.maxUnhealthy = []budget{{*maxUnhealthy, "healthGate.maxUnhealthy", spec.HealthGate.CountMaintenance}}
	}
	for name, v := range rules.Roles {
		limit, err := parseHostLimit(v)
		if err != nil {
			return out, fmt.Errorf("spec.instructions.rollingRules.roles[%s]: %w", name, err)
		}
		out.roles[name] = limit
	}
	return out, nil
}

// hostLimit is a number of hosts, or a percentage of those that count.
type hostLimit struct {
	n       int
	percent bool
	text    string // as the plan has it
}

func parseHostLimit(v intstr.IntOrString) (hostLimit, error) {
	n, percent, err := v1alpha1.ParseLimit(v)
	return hostLimit{n, percent, v.String()}, err
}

// slots returns how many hosts of a total may be in flight. Percentages are rounded down, but are at least 1 when above 0%.
func (l hostLimit) slots(total int) int {
	if n := l.of(total); n > 0 || l.n == 0 {
		return n
	}
	return 1
}

// of returns the number of hosts of a total. Percentages are rounded down.
func (l hostLimit) of(total int) int {
	if l.percent {
		return total * l.n / 100
	}
	return l.n
}

// budget is how many hosts may be failed or unhealthy.
type budget struct {
	hostLimit
	field string // of the plan
	// maintenance says that hosts in maintenance count as unhealthy.
	maintenance bool
}

// originWithout is origin for a total that leaves out hosts that joined.
func (l hostLimit) originWithout(total, joined int) string {
	if !l.percent || joined == 0 {
		return l.origin(total)
	}
	return fmt.Sprintf(" (%s of %d, without %d that joined since the switch)", l.text, total, joined)
}

// origin says how the number was computed. It is empty when the plan has the number itself.
func (l hostLimit) origin(total int) string {
	if l.percent {
		return fmt.Sprintf(" (%s of %d)", l.text, total)
	}
	return ""
}
