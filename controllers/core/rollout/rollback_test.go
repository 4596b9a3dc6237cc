// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// planOf parses a spec without defaults.
func planOf(t fataler, spec string) *v1alpha1.UpgradePlan {
	t.Helper()
	p := &v1alpha1.UpgradePlan{}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatalf("%v\n%s", err, spec)
	}
	return p
}

func TestRollbackPlan(t *testing.T) {
	const night, noon = "{schedule: '0 22 * * *', duration: 7h}", "{schedule: '0 12 * * *', duration: 1h}"
	for name, c := range map[string]struct{ revision, replaced, want string }{
		"the rules of the revision": {
			revision: "version: v1\nminReadySeconds: 9\ninstructions: {rollingRules: {global: 2, roles: {db: 1}}, roleOrder: {web: db}}\nstrategy: Batch",
			replaced: "version: v2\nminReadySeconds: 5\ninstructions: {rollingRules: {global: 7}}",
			want:     "version: v1\nminReadySeconds: 9\ninstructions: {rollingRules: {global: 2, roles: {db: 1}}, roleOrder: {web: db}}\nstrategy: Batch",
		},
		"no canaries of either": {
			revision: "version: v1\ncanary: {perRole: 1, soakSeconds: 60}",
			replaced: "version: v2\ncanary: {perRole: 2}",
			want:     "version: v1",
		},
		"no windows.allow of either, and windows.deny": {
			revision: "version: v1\nwindows: {allow: [" + night + "], deny: [" + noon + "]}",
			replaced: "version: v2\nwindows: {allow: [" + noon + "], deny: [" + night + ", " + noon + "]}",
			want:     "version: v1\nwindows: {deny: [" + noon + ", " + night + "]}",
		},
		"windows.allow if the policy does not ignore them": {
			revision: "version: v1",
			replaced: "version: v2\nwindows: {allow: [" + noon + "]}\nfailurePolicy: {maxFailed: 1, rollback: {ignoreWindows: false}}",
			want: "version: v1\nwindows: {allow: [" + noon + "]}\nfailurePolicy: {maxFailed: 1, onExceeded: Pause, " +
				"rollback: {ignoreWindows: false}}",
		},
		"the failure policy of the replaced spec, which halts": {
			revision: "version: v1",
			replaced: "version: v2\nfailurePolicy: {maxFailed: 10%, onExceeded: Rollback, setAside: Failed}",
			want:     "version: v1\nfailurePolicy: {maxFailed: 10%, onExceeded: Pause}",
		},
		"set aside if both do": {
			revision: "version: v1\nfailurePolicy: {maxFailed: 1, setAside: Failed}",
			replaced: "version: v2\nfailurePolicy: {maxFailed: 1, setAside: Failed, afterAttempts: 2}",
			want:     "version: v1\nfailurePolicy: {maxFailed: 1, onExceeded: Pause, setAside: Failed, afterAttempts: 3}",
		},
		"checks of both": {
			revision: "version: v1\nhealthGate: {checks: [puppet]}",
			replaced: "version: v2\nhealthGate: {checks: [web, puppet], maxUnhealthy: 1, countMaintenance: true}",
			want:     "version: v1\nhealthGate: {checks: [puppet, web], maxUnhealthy: 1, countMaintenance: true}",
		},
		"the policy of the replaced spec": {
			revision: "version: v1\nminReadySeconds: 9\ninstructions: {rollingRules: {global: 2, roles: {db: 1}}}\n" +
				"failurePolicy: {maxFailed: 5, rollback: {maxFailed: 4}}",
			replaced: "version: v2\nfailurePolicy: {maxFailed: 1, rollback: " +
				"{rollingRules: {global: 33%, fleet: 33%}, minReadySeconds: 0, maxFailed: 10%, first: Failed}}",
			want: "version: v1\ninstructions: {rollingRules: {global: 33%, fleet: 33%}}\nfailurePolicy: {maxFailed: 10%, onExceeded: Pause, " +
				"rollback: {rollingRules: {global: 33%, fleet: 33%}, minReadySeconds: 0, maxFailed: 10%, first: Failed}}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			revision, replaced := planOf(t, c.revision), planOf(t, c.replaced)
			if d := cmp.Diff(planOf(t, c.want), rollout.RollbackPlan(revision, replaced)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if d := cmp.Diff(planOf(t, c.revision), revision) + cmp.Diff(planOf(t, c.replaced), replaced); d != "" {
				t.Errorf("the input was changed: %s", d)
			}
		})
	}
}

// The revision that is carried out is the spec of these rows. "replaces" is the spec that it replaces. Noon is on Friday.
func TestRollbackPolicy(t *testing.T) {
	const failed = "record v3 web1..4\nagent web1..4\nkey host/web1 True -9m\nstarted web1 v2 -8m\nreport web1 Failed v2 -5m it broke\n"
	const night, day = "windows: {allow: [{schedule: '0 22 * * *', duration: 7h}]}", "windows: {allow: [{schedule: '0 9 * * *', duration: 7h}]}"
	check(t, []example{{
		name:  "the revision has no failure policy: that of the replaced spec halts",
		fleet: failed + "pinned 1\nreplaces {version: v3, failurePolicy: {maxFailed: 0, onExceeded: Rollback}}",
		want: "web1 Failed ReportedFailure\nweb2..4 Pending FailureBudgetExceeded: 1 of 4 hosts have failed (web1), " +
			"more than failurePolicy.maxFailed, which is 0\ngate FailureBudgetExceeded",
	}, {
		name:  "the smaller count holds: of the replaced spec",
		fleet: failed + "pinned 1\nreplaces {version: v3, failurePolicy: {maxFailed: 20%}}",
		spec:  "failurePolicy: {maxFailed: 1}",
		want: "web1 Failed ReportedFailure\nweb2..4 Pending FailureBudgetExceeded: more than failurePolicy.maxFailed, which is 0 (20% of 4)\n" +
			"gate FailureBudgetExceeded",
	}, {
		name:  "the smaller count holds: of the revision",
		fleet: failed + "pinned 1\nreplaces {version: v3, failurePolicy: {maxFailed: 50%}}",
		spec:  "failurePolicy: {maxFailed: 0}",
		want: "web1 Failed ReportedFailure\nweb2..4 Pending FailureBudgetExceeded: more than failurePolicy.maxFailed, which is 0\n" +
			"gate FailureBudgetExceeded",
	}, {
		name:  "a budget of the policy replaces both",
		fleet: failed + "pinned 1\nreplaces {version: v3, failurePolicy: {maxFailed: 0, rollback: {maxFailed: 25%}}}",
		spec:  "failurePolicy: {maxFailed: 0}",
		want:  "web1 Failed ReportedFailure\nweb2..4 Upgrading Starting",
	}, {
		name:  "a budget of the policy is named",
		fleet: failed + "pinned 1\nreplaces {version: v3, failurePolicy: {maxFailed: 9, rollback: {maxFailed: 10%}}}",
		want: "web1 Failed ReportedFailure\nweb2..4 Pending FailureBudgetExceeded: more than failurePolicy.rollback.maxFailed, which is 0 " +
			"(10% of 4)\ngate FailureBudgetExceeded",
	}, {
		name:  "neither windows.allow nor canaries hold it up",
		fleet: "record v3 web1..3\nagent web1..3\nreplaces {version: v3, canary: {perRole: 1, soakSeconds: 600}, " + night + "}",
		spec:  "canary: {perRole: 1, soakSeconds: 600}\ninstructions: {rollingRules: {global: 2}}\n" + night,
		want:  "web1..2 Upgrading Starting\nweb3 Pending NoFreeSlot\ncanaries none",
	}, {
		name:  "windows.allow of the revision, not ignored",
		fleet: "record v3 web1\nagent web1\nreplaces {version: v3, failurePolicy: {maxFailed: 1, rollback: {ignoreWindows: false}}, " + day + "}",
		spec:  night,
		want:  "web1 Pending OutsideWindow: no window of windows.allow is open\ngate OutsideWindow",
	}, {
		name:  "windows.allow of the replaced spec, not ignored",
		fleet: "record v3 web1\nagent web1\nreplaces {version: v3, failurePolicy: {maxFailed: 1, rollback: {ignoreWindows: false}}, " + night + "}",
		spec:  day,
		want:  "web1 Pending OutsideWindow: no window of windows.allow is open\ngate OutsideWindow",
	}, {
		name:  "both are open",
		fleet: "record v3 web1\nagent web1\nreplaces {version: v3, failurePolicy: {maxFailed: 1, rollback: {ignoreWindows: false}}, " + day + "}",
		spec:  day,
		want:  "web1 Upgrading Starting",
	}, {
		name:  "windows.deny of the replaced spec",
		fleet: "record v3 web1\nagent web1\nreplaces {version: v3, windows: {deny: [{schedule: '0 9 * * *', duration: 7h}]}}",
		want:  "web1 Pending OutsideWindow: windows.deny[0]\ngate OutsideWindow",
	}, {
		name:  "windows.deny of the revision",
		fleet: "record v3 web1\nagent web1\nreplaces {version: v3, windows: {deny: [{schedule: '0 22 * * *', duration: 1h}]}}",
		spec:  "windows: {deny: [{schedule: '0 9 * * *', duration: 7h}]}",
		want:  "web1 Pending OutsideWindow: windows.deny[0]\ngate OutsideWindow",
	}, {
		name:  "an operator's pause holds",
		fleet: "record v3 web1\nagent web1\npaused\nreplaces {version: v3}",
		want:  "web1 Pending PlanPaused\ngate PlanPaused",
	}, {
		name:  "hosts at the version of the revision stay",
		fleet: "record v2 web1..2\nagent web1..2\nrecord v3 web3\nagent web3\nreplaces {version: v3}",
		want:  "web1..2 Upgraded AtVersion\nweb3 Upgrading Starting",
	}, {
		name:  "limits of the policy replace those of the revision",
		fleet: "record v3 web1..6\nagent web1..6\nreplaces {version: v3, failurePolicy: {maxFailed: 1, rollback: {rollingRules: {global: 34%}}}}",
		spec:  "instructions: {rollingRules: {roles: {web: 1}}}",
		want:  "web1..2 Upgrading Starting\nweb3..6 Pending NoFreeSlot: 2 of 2 slots",
	}, {
		name:  "a limit of 0 blocks",
		fleet: "record v3 web1\nagent web1\nreplaces {version: v3, failurePolicy: {maxFailed: 1, rollback: {rollingRules: {global: 0}}}}",
		want:  "web1 Pending LimitZero",
	}, {
		name:  "a failed host keeps its slot",
		fleet: failed + "replaces {version: v3, failurePolicy: {maxFailed: 9, rollback: {rollingRules: {global: 2}}}}",
		want:  "web1 Failed ReportedFailure\nweb2 Upgrading Starting\nweb3..4 Pending NoFreeSlot: web1",
	}, {
		name: "failed hosts first: by report, then by check",
		fleet: "record v3 web1..4\nagent web1..4\nreport web3 Failed v3 -5m it broke\ncheck web4 http critical\n" +
			"replaces {version: v3, healthGate: {checks: [http]}, " +
			"failurePolicy: {maxFailed: 9, rollback: {rollingRules: {global: 2}, first: Failed}}}",
		want: "web1..2 Pending NoFreeSlot\nweb3..4 Upgrading Starting",
	}, {
		name: "failed hosts in natural order otherwise",
		fleet: "record v3 web1..4\nagent web1..4\nreport web3 Failed v3 -5m it broke\ncheck web4 http critical\n" +
			"replaces {version: v3, healthGate: {checks: [http]}, failurePolicy: {maxFailed: 9, rollback: {rollingRules: {global: 2}}}}",
		want: "web1..2 Upgrading Starting\nweb3..4 Pending NoFreeSlot",
	}, {
		name: "unhealthy hosts of the replaced spec's gate",
		fleet: "record v3 web1..3\nagent web1..3\ncheck web3 _node_maintenance maintenance\n" +
			"replaces {version: v3, healthGate: {maxUnhealthy: 0, countMaintenance: true}}",
		spec: "healthGate: {maxUnhealthy: 0}",
		want: "web1..3 Pending TooManyUnhealthy: 1 of 3 hosts are critical or in maintenance (web3), more than healthGate.maxUnhealthy, " +
			"which is 0\ngate TooManyUnhealthy",
	}})
}
