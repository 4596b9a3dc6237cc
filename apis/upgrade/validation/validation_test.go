// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
)

type (
	list  = v1alpha1.StringList
	lists = map[string]v1alpha1.StringList
)

// plan is a good plan after the changes.
func plan(change ...func(*v1alpha1.UpgradePlan)) *v1alpha1.UpgradePlan {
	p := &v1alpha1.UpgradePlan{}
	p.Name, p.Spec.Version = "fleet", "v2"
	for _, c := range change {
		c(p)
	}
	return p
}

func TestValidateUpgradePlan(t *testing.T) {
	order := func(order, groups lists) func(*v1alpha1.UpgradePlan) {
		return func(p *v1alpha1.UpgradePlan) {
			p.Spec.Instructions.RoleOrder, p.Spec.Instructions.GroupMappings = order, groups
		}
	}
	keys := func(prefix, records string) func(*v1alpha1.UpgradePlan) {
		return func(p *v1alpha1.UpgradePlan) { p.Spec.Keys = v1alpha1.Keys{Prefix: prefix, RunningVersions: records} }
	}
	ceph := lists{"mon": {"st.*"}}
	const at = "spec.instructions."
	const never = "none of these could ever start: "
	for name, tc := range map[string]struct {
		change func(*v1alpha1.UpgradePlan)
		want   []string // substrings of the errors, in order
	}{
		"minimal plan":         {func(*v1alpha1.UpgradePlan) {}, nil},
		"plan with defaults":   {v1alpha1.SetDefaults, nil},
		"no name":              {func(p *v1alpha1.UpgradePlan) { p.Name = "" }, []string{"metadata.name: Required"}},
		"name with a slash":    {func(p *v1alpha1.UpgradePlan) { p.Name = "a/b" }, []string{"metadata.name: Invalid value: \"a/b\": must consist of letters"}},
		"long name":            {func(p *v1alpha1.UpgradePlan) { p.Name = strings.Repeat("a", 129) }, []string{"metadata.name: Too long"}},
		"no version":           {func(p *v1alpha1.UpgradePlan) { p.Spec.Version = "" }, []string{"spec.version: Required"}},
		"version with a slash": {func(p *v1alpha1.UpgradePlan) { p.Spec.Version = "a/b" }, []string{"spec.version: Invalid value: \"a/b\": must consist of letters"}},
		"boolean version":      {func(p *v1alpha1.UpgradePlan) { p.Spec.Version = "True" }, []string{"spec.version: Invalid value: \"True\": must not be True, False, 0 or 1"}},
		"long version":         {func(p *v1alpha1.UpgradePlan) { p.Spec.Version = strings.Repeat("v", 129) }, []string{"spec.version: Invalid value"}},
		"limits": {
			func(p *v1alpha1.UpgradePlan) {
				p.Spec.Instructions.RollingRules = v1alpha1.RollingRules{
					Global: new(intstr.FromInt32(-1)), Fleet: new(intstr.FromString("101%")),
					Roles: map[string]intstr.IntOrString{"a": intstr.FromString("x"), "b/c": intstr.FromInt32(0), "d": intstr.FromString("100%")},
				}
			},
			[]string{
				at + `rollingRules.global: Invalid value: "-1": must not be negative`,
				at + `rollingRules.roles[a]: Invalid value: "x": must be a number of hosts (3) or a percentage (10%)`,
				at + `rollingRules.roles[b/c]: Invalid value: "b/c": the name of a role or group must consist of letters`,
				at + `rollingRules.fleet: Invalid value: "101%": must be at most 100%`,
			},
		},
		"outages that take slots": {
			func(p *v1alpha1.UpgradePlan) {
				p.Spec.Instructions.RollingRules.AlsoCount = []v1alpha1.Outage{v1alpha1.OutageMaintenance, "maintenance", v1alpha1.OutageCritical,
					v1alpha1.OutageMaintenance}
			},
			[]string{
				at + `rollingRules.alsoCount[1]: Unsupported value: "maintenance": supported values: "Maintenance", "Critical"`,
				at + `rollingRules.alsoCount[3]: Duplicate value: "Maintenance"`,
			},
		},
		"maintenance without a limit": {
			func(p *v1alpha1.UpgradePlan) { p.Spec.HealthGate.CountMaintenance = true },
			[]string{"spec.healthGate.maxUnhealthy: Required value: must be the number (3) or percentage (10%) of hosts that may be critical or in " +
				"maintenance, because countMaintenance is true"},
		},
		"maintenance with a limit": {
			func(p *v1alpha1.UpgradePlan) {
				p.Spec.HealthGate = v1alpha1.HealthGate{MaxUnhealthy: new(intstr.FromInt32(0)), CountMaintenance: true}
			}, nil,
		},
		"names in the order": {order(lists{"a/b": {"c"}, "d": {"", "e"}}, nil), []string{
			at + `roleOrder[a/b]: Invalid value: "a/b": the name of`, at + `roleOrder[d][0]: Invalid value: "": the name of`,
		}},
		"groups": {order(nil, lists{"a b": {"x"}, "c": {}, "d": {"(", "", `(?=x)`}, "e": {"x)|(y"}}), []string{
			at + `groupMappings[a b]: Invalid value: "a b": the name of a group must consist of letters`,
			at + `groupMappings[c]: Required value: must have at least one pattern`,
			at + `groupMappings[d][0]: Invalid value: "(": is not an RE2 pattern: missing closing )`,
			at + `groupMappings[d][1]: Required value`,
			at + `groupMappings[d][2]: Invalid value: "(?=x)": is not an RE2 pattern: invalid or unsupported Perl syntax`,
			at + `groupMappings[e][0]: Invalid value: "x)|(y": is not an RE2 pattern: unexpected )`,
		}},
		"order without a cycle": {order(lists{"a": {"b", "c"}, "b": {"c"}, "mon": {"a"}, "z": {"mon", "stmon"}}, ceph), nil},
		"two roles of a group":  {order(lists{"stb": {"sta"}}, ceph), nil},
		"role waits for itself": {order(lists{"a": {"b", "a"}}, nil), []string{at + `roleOrder[a][1]: Invalid value: "a": a waits for itself`}},
		"role waits for its group": {order(lists{"stmon": {"mon"}}, ceph), []string{
			at + `roleOrder[stmon][0]: Invalid value: "mon": stmon waits for its own group mon`}},
		"group waits for its member": {order(lists{"mon": {"stmon"}}, ceph), []string{
			at + `roleOrder[mon][0]: Invalid value: "stmon": group mon waits for its member stmon`}},
		"pattern is anchored at the front only": {order(lists{"best": {"mon"}, "st": {"mon"}}, ceph), []string{
			`st waits for its own group mon`}},
		"cycle of two":            {order(lists{"a": {"b"}, "b": {"a"}}, nil), []string{at + `roleOrder[a]: Invalid value: ` + never + `a → b → a`}},
		"cycle after other roles": {order(lists{"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}, nil), []string{`roleOrder[b]: Invalid value: ` + never + `b → c → d → b`}},
		"two cycles":              {order(lists{"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"c"}}, nil), []string{"a → b → a", "c → d → c"}},
		"cycle through group":     {order(lists{"a": {"mon"}, "stmon": {"a"}}, ceph), []string{"a → mon → stmon (of mon) → a"}},
		"cycle through the group's wait": {order(lists{"a": {"stmon"}, "mon": {"a"}}, ceph), []string{
			"a → stmon (of mon) → mon → a"}},
		"cycle of two groups by their members": {
			order(lists{"g": {"h1"}, "h": {"g1"}}, lists{"g": {"g."}, "h": {"h."}}), []string{"g → h1 (of h) → h → g1 (of g) → g"}},
		"strategy": {func(p *v1alpha1.UpgradePlan) { p.Spec.Strategy = "rolling" }, []string{
			`spec.strategy: Unsupported value: "rolling": supported values: "Rolling", "Batch"`}},
		"seconds": {
			func(p *v1alpha1.UpgradePlan) {
				p.Spec.ProgressDeadlineSeconds, p.Spec.MinReadySeconds, p.Spec.RevisionHistoryLimit = new(int32(0)), -1, new(int32(101))
			},
			[]string{"spec.progressDeadlineSeconds: Invalid value: 0: must be 1 or more",
				"spec.minReadySeconds: Invalid value: -1: must be 0 or more",
				"spec.revisionHistoryLimit: Invalid value: 101: must be 100 or less"},
		},
		"least duration": {func(p *v1alpha1.UpgradePlan) { p.Spec.MinUpgradeSeconds = new(int32(-1)) }, []string{
			"spec.minUpgradeSeconds: Invalid value: -1: must be 0 or more"}},
		"legacy hosts": {func(p *v1alpha1.UpgradePlan) { p.Spec.Hosts.Legacy = new(intstr.FromString("some")) }, []string{
			`spec.hosts.legacy: Invalid value: "some": must be Allow, Deny or a number of hosts, not "some"`}},
		"a negative number of legacy hosts": {func(p *v1alpha1.UpgradePlan) { p.Spec.Hosts.Legacy = new(intstr.FromInt32(-1)) }, []string{
			`spec.hosts.legacy: Invalid value: "-1": must be Allow, Deny or a number of hosts, not "-1"`}},
		"version of agents": {func(p *v1alpha1.UpgradePlan) { p.Spec.Hosts.MinAgentVersion = "v0.2.0-rc.1" }, nil},
		"version of agents without v": {func(p *v1alpha1.UpgradePlan) { p.Spec.Hosts.MinAgentVersion = "0.2.0" }, []string{
			`spec.hosts.minAgentVersion: Invalid value: "0.2.0": must be a version of upgrade-agent, such as v0.2.0`}},
		"half a version of agents": {func(p *v1alpha1.UpgradePlan) { p.Spec.Hosts.MinAgentVersion = "v0.2" }, []string{
			`spec.hosts.minAgentVersion: Invalid value: "v0.2": must be a version of upgrade-agent, such as v0.2.0`}},
		"invalid role pattern": {func(p *v1alpha1.UpgradePlan) { p.Spec.Hosts.RolePattern = "(" }, []string{
			`spec.hosts.rolePattern: Invalid value: "(": is not an RE2 pattern: missing closing )`}},
		"role pattern without a capture group": {func(p *v1alpha1.UpgradePlan) { p.Spec.Hosts.RolePattern = "(?:a+)1" }, []string{
			`spec.hosts.rolePattern: Invalid value: "(?:a+)1": must have a capture group`}},
		"failure policy": {func(p *v1alpha1.UpgradePlan) {
			p.Spec.FailurePolicy = v1alpha1.FailurePolicy{MaxFailed: new(intstr.FromString("2%")), OnExceeded: "Pause"}
		}, nil},
		"rollback policy": {func(p *v1alpha1.UpgradePlan) {
			p.Spec.FailurePolicy = v1alpha1.FailurePolicy{MaxFailed: new(intstr.FromString("2%")), Rollback: &v1alpha1.RollbackPolicy{
				RollingRules:  v1alpha1.RollingRules{Global: new(intstr.FromString("33%")), Fleet: new(intstr.FromInt32(0))},
				IgnoreWindows: new(false), MinReadySeconds: new(int32(60)), MaxFailed: new(intstr.FromString("10%")), First: "Failed"}}
		}, nil},
		"empty rollback policy": {func(p *v1alpha1.UpgradePlan) {
			p.Spec.FailurePolicy = v1alpha1.FailurePolicy{MaxFailed: new(intstr.FromInt32(1)), Rollback: &v1alpha1.RollbackPolicy{}}
		}, nil},
		"invalid rollback policy": {func(p *v1alpha1.UpgradePlan) {
			p.Spec.FailurePolicy = v1alpha1.FailurePolicy{MaxFailed: new(intstr.FromInt32(1)), Rollback: &v1alpha1.RollbackPolicy{
				RollingRules:    v1alpha1.RollingRules{Roles: map[string]intstr.IntOrString{"db": intstr.FromString("some")}},
				MinReadySeconds: new(int32(-1)), MaxFailed: new(intstr.FromString("few")), First: "Last"}}
		}, []string{
			`spec.failurePolicy.rollback.rollingRules.roles[db]: Invalid value: "some": must be a number of hosts (3) or a percentage (10%)`,
			`spec.failurePolicy.rollback.rollingRules: Required value: must have global or fleet, because no host goes back without a limit`,
			`spec.failurePolicy.rollback.minReadySeconds: Invalid value: -1: must be 0 or more`,
			`spec.failurePolicy.rollback.maxFailed: Invalid value: "few": must be a number of hosts (3) or a percentage (10%)`,
			`spec.failurePolicy.rollback.first: Unsupported value: "Last": supported values: "Failed"`}},
		"failure policy without a budget": {
			func(p *v1alpha1.UpgradePlan) { p.Spec.FailurePolicy.OnExceeded = "Explode" },
			[]string{`spec.failurePolicy.maxFailed: Required value: must be the number (3) or percentage (10%) of hosts`,
				`spec.failurePolicy.onExceeded: Unsupported value: "Explode": supported values: "Pause"`}},
		"invalid failure budget": {
			func(p *v1alpha1.UpgradePlan) { p.Spec.FailurePolicy.MaxFailed = new(intstr.FromString("some")) },
			[]string{`spec.failurePolicy.maxFailed: Invalid value: "some": must be a number of hosts (3) or a percentage (10%)`}},
		"windows": {
			func(p *v1alpha1.UpgradePlan) {
				p.Spec.Windows.Allow = []v1alpha1.Window{{Schedule: "0 22 * * *", Duration: "4h", TimeZone: "Europe/Berlin"}, {}}
				p.Spec.Windows.Deny = []v1alpha1.Window{{Schedule: "@daily", Duration: "4", TimeZone: "Local"}}
			},
			[]string{
				`spec.windows.allow[1].schedule: Required value: must be five fields`,
				`spec.windows.allow[1].duration: Required value: must be a duration (90m, 4h)`,
				`spec.windows.deny[0].schedule: Invalid value: "@daily": must be five fields`,
				`spec.windows.deny[0].duration: Invalid value: "4": must be a duration`,
				`spec.windows.deny[0].timeZone: Invalid value: "Local": must be the IANA name of a time zone (Europe/Berlin)`,
			},
		},
		"too many windows": {
			func(p *v1alpha1.UpgradePlan) {
				p.Spec.Windows.Deny = slices.Repeat([]v1alpha1.Window{{Schedule: "0 22 * * *", Duration: "4h"}}, 65)
			},
			[]string{"spec.windows.deny: Too many: 65: must have at most 64 items"}},
		"hosts to exclude": {func(p *v1alpha1.UpgradePlan) { p.Spec.Hosts.Exclude = []string{"a*", "", "[a", "b[1-3]?"} }, []string{
			`spec.hosts.exclude[1]: Required value`, `spec.hosts.exclude[2]: Invalid value: "[a": is not a shell pattern`}},
		"good keys":                     {keys("dc1/fleet", "running/versions"), nil},
		"records elsewhere":             {keys("", "reached/by-version"), nil},
		"prefix with slashes":           {keys("/dc1/", "a//b"), []string{`spec.keys.prefix: Invalid value: "/dc1/": must be segments`, `spec.keys.runningVersions: Invalid value: "a//b": must be segments`}},
		"prefix among records":          {keys("running/versions/x", ""), []string{`spec.keys.prefix: Invalid value: "running/versions/x": must not start with`}},
		"prefix among trees of a fleet": {keys("upgrade.jiocloud.com", "config_state/enable_puppet"), []string{`spec.keys.prefix: `, `spec.keys.runningVersions: `}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(tc.change)
			before := p.DeepCopy()
			errs := validation.ValidateUpgradePlan(p)
			if diff := cmp.Diff(before, p); diff != "" {
				t.Errorf("the plan was changed:\n%s", diff)
			}
			if len(errs) != len(tc.want) {
				t.Fatalf("%d errors, want %d:\n%v", len(errs), len(tc.want), errs)
			}
			for i, want := range tc.want {
				if !strings.Contains(errs[i].Error(), want) {
					t.Errorf("error %d is\n%s\nwant\n%s", i, errs[i], want)
				}
			}
		})
	}
}

func TestValidateUpgradePlanUpdate_PrefixIsImmutable(t *testing.T) {
	prefix := func(s string) *v1alpha1.UpgradePlan {
		return plan(func(p *v1alpha1.UpgradePlan) { p.Spec.Keys.Prefix = s })
	}
	if errs := validation.ValidateUpgradePlanUpdate(prefix("a"), prefix("a")); len(errs) > 0 {
		t.Error(errs)
	}
	errs := validation.ValidateUpgradePlanUpdate(prefix("b//"), prefix("a"))
	if len(errs) != 2 || !strings.Contains(errs[1].Error(), `spec.keys.prefix: Invalid value: "b//": is immutable and was "a"`) {
		t.Error(errs)
	}
}

func TestKeysOverlap(t *testing.T) {
	for _, tc := range []struct {
		a, b v1alpha1.Keys
		want bool
	}{
		{v1alpha1.Keys{}, v1alpha1.Keys{}, true},
		{v1alpha1.Keys{}, v1alpha1.Keys{RunningVersions: "x"}, true}, // one current_version
		{v1alpha1.Keys{}, v1alpha1.Keys{Prefix: "dc1"}, false},
		{v1alpha1.Keys{Prefix: "dc1"}, v1alpha1.Keys{Prefix: "dc2"}, false},
		{v1alpha1.Keys{Prefix: "dc1"}, v1alpha1.Keys{Prefix: "dc10"}, false},
		{v1alpha1.Keys{Prefix: "dc1"}, v1alpha1.Keys{Prefix: "dc1"}, true},
		{v1alpha1.Keys{Prefix: "dc1"}, v1alpha1.Keys{Prefix: "dc1/east"}, true},
		{v1alpha1.Keys{RunningVersions: "dc1/config_state"}, v1alpha1.Keys{Prefix: "dc1"}, true},
		{v1alpha1.Keys{RunningVersions: "dc1"}, v1alpha1.Keys{Prefix: "dc1"}, true},
	} {
		if got := validation.KeysOverlap(tc.a, tc.b); got != tc.want {
			t.Errorf("KeysOverlap(%+v, %+v) = %v", tc.a, tc.b, got)
		}
		if got := validation.KeysOverlap(tc.b, tc.a); got != tc.want {
			t.Errorf("KeysOverlap(%+v, %+v) = %v", tc.b, tc.a, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	p := plan(func(p *v1alpha1.UpgradePlan) {
		p.Spec.Instructions = v1alpha1.Instructions{
			RollingRules:  v1alpha1.RollingRules{Roles: map[string]intstr.IntOrString{"stmon": intstr.FromInt32(1)}},
			RoleOrder:     lists{"a": {}, "b": {"c", "d", "c"}},
			GroupMappings: lists{"mon": {"st.*"}, "all": {"stm.*", "mo.*"}, "b": {"bx"}},
		}
	})
	want := []string{
		"spec.instructions.groupMappings[mon]: mon is a group, but as the name of a role it belongs to all; rules for mon apply to the group",
		"spec.instructions.groupMappings[all]: role stmon matches the groups all, mon; it belongs to the first by name, all",
		"spec.instructions.roleOrder[a]: the list is empty, so a waits for nothing",
		"spec.instructions.roleOrder[b][2]: c is listed twice",
	}
	if diff := cmp.Diff(want, validation.Warnings(p)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if errs := validation.ValidateUpgradePlan(p); len(errs) > 0 {
		t.Error("warnings must not be errors:", errs)
	}
	if got := validation.Warnings(plan()); got != nil {
		t.Error(got)
	}
}
