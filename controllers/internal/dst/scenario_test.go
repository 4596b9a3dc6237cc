// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dst

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
	_ "time/tzdata" // the machine may have no time zones

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// planName is the name of the one plan.
const planName = "fleet"

// scenario is a fleet, its plan and the faults. It follows from its seed, until events are removed.
type scenario struct {
	Seed uint64
	// Hosts and Legacy are names. All hosts begin at version 1.
	Hosts, Legacy []string
	// Old are the hosts whose agents are of the release before grants.
	Old []string
	// Records are the trees of records of some hosts.
	Records map[string]string
	// Broken is a host whose upgrades all fail. Empty means none.
	Broken string
	// Git says that the plan comes from a Git source.
	Git bool
	// Begin is when a scenario with a time zone begins, shortly before the zone changes its offset.
	Begin time.Time
	// OneWay says that upgrades to an earlier version fail.
	OneWay      bool
	Controllers int
	// Priorities lets processes run by changing priorities, not in turns.
	Priorities bool
	Plan       rules
	// StepSeconds bounds how long an upgrade takes.
	StepSeconds int
	// Steps is how many calls are executed while faults come.
	Steps  int
	Events []event
}

// rules are a plan's spec, as far as scenarios vary it.
type rules struct {
	Version         string
	Roles           map[string]int
	Global, Fleet   int // 0 means no limit
	Percent         int // in place of Global; 0 means none
	Order           map[string][]string
	MinReadySeconds int
	MaxFailed       int // negative means none
	Rollback        bool
	Canaries        int
	Manual          bool
	Windows         bool
	Zone            string // of the windows; empty means UTC
	Checks          bool   // the check "disk" is required
	Batch           bool
	ByRules         bool
	Paused          bool
	Deadline        int
	AlsoCount       bool // hosts in maintenance take slots
	MaxUnhealthy    int  // negative means none
	Attempts        int  // after how many failed attempts a host is set aside; 0 means never
}

func (r rules) clone() rules {
	r.Roles = maps.Clone(r.Roles)
	return r
}

// plan is the UpgradePlan.
func (r rules) plan() *v1alpha1.UpgradePlan {
	number := func(n int) *intstr.IntOrString { v := intstr.FromInt32(int32(n)); return &v }
	p := &v1alpha1.UpgradePlan{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: planName}}
	s := &p.Spec
	s.Version, s.Paused, s.MinReadySeconds = r.Version, r.Paused, int32(r.MinReadySeconds)
	if r.Global > 0 {
		s.Instructions.RollingRules.Global = number(r.Global)
	}
	if r.Percent > 0 {
		percent := intstr.FromString(fmt.Sprint(r.Percent, "%"))
		s.Instructions.RollingRules.Global = &percent
	}
	if r.Fleet > 0 {
		s.Instructions.RollingRules.Fleet = number(r.Fleet)
	}
	for role, n := range r.Roles {
		if s.Instructions.RollingRules.Roles == nil {
			s.Instructions.RollingRules.Roles = map[string]intstr.IntOrString{}
		}
		s.Instructions.RollingRules.Roles[role] = *number(n)
	}
	for role, first := range r.Order {
		if s.Instructions.RoleOrder == nil {
			s.Instructions.RoleOrder = map[string]v1alpha1.StringList{}
		}
		s.Instructions.RoleOrder[role] = first
	}
	if r.MaxFailed >= 0 {
		s.FailurePolicy.MaxFailed = number(r.MaxFailed)
		if r.Rollback {
			s.FailurePolicy.OnExceeded = v1alpha1.RollbackOnFailure
		}
	}
	if r.Attempts > 0 && r.MaxFailed >= 0 {
		s.FailurePolicy.SetAside, s.FailurePolicy.AfterAttempts = v1alpha1.SetAsideFailed, r.Attempts
	}
	if r.Canaries > 0 {
		s.Canary.PerRole = number(r.Canaries)
		if r.Manual {
			s.Canary.Promote = v1alpha1.PromoteManual
		}
	}
	if r.Windows { // open in even hours
		s.Windows.Allow = []v1alpha1.Window{{Schedule: "0 */2 * * *", Duration: "60m", TimeZone: r.Zone}}
	}
	if r.Batch {
		s.Strategy = v1alpha1.Batch
	}
	if r.ByRules {
		s.Hosts.Newcomers = v1alpha1.NewcomersByRules
	}
	if r.AlsoCount {
		s.Instructions.RollingRules.AlsoCount = []v1alpha1.Outage{v1alpha1.OutageMaintenance}
	}
	if r.MaxUnhealthy >= 0 {
		s.HealthGate.MaxUnhealthy = number(r.MaxUnhealthy)
	}
	if r.Checks {
		s.HealthGate.Checks = []string{"disk"}
	}
	deadline := int32(r.Deadline)
	s.ProgressDeadlineSeconds = &deadline
	return p
}

// newScenario makes a scenario of a seed.
func newScenario(seed uint64, steps int) scenario {
	r := rand.New(rand.NewPCG(seed, 1))
	s := scenario{Seed: seed, Controllers: 1 + r.IntN(2), StepSeconds: 20 + r.IntN(150), Steps: steps}
	roles := []string{"db", "web", "app"}[:1+r.IntN(3)]
	s.Plan = rules{Version: "2", MaxFailed: -1, Deadline: 3600, Roles: map[string]int{}}
	for _, role := range roles {
		for i := range 2 + r.IntN(4) {
			s.Hosts = append(s.Hosts, fmt.Sprint(role, i+1))
		}
		if r.IntN(2) == 0 {
			s.Plan.Roles[role] = 1 + r.IntN(2)
		}
	}
	s.Plan.Global = 1 + r.IntN(2)
	one := func(in int) bool { return r.IntN(in) == 0 }
	if one(3) {
		s.Plan.Fleet = 1 + r.IntN(3)
	}
	if len(roles) > 1 && one(2) {
		s.Plan.Order = map[string][]string{roles[1]: {roles[0]}}
	}
	if one(3) {
		s.Plan.MinReadySeconds = 30 + r.IntN(300)
	}
	if one(2) {
		s.Plan.MaxFailed, s.Plan.Rollback = r.IntN(3), one(3)
	}
	if one(4) {
		s.Plan.Canaries, s.Plan.Manual = 1, one(2)
	}
	s.Plan.Windows, s.Plan.Batch, s.Plan.ByRules = one(6), one(6), one(4)
	if one(5) { // a mixed fleet
		for _, host := range s.Hosts {
			if one(3) {
				s.Legacy = append(s.Legacy, host)
			}
		}
	}
	s.Priorities = one(2)
	s.Records = map[string]string{}
	if one(5) || len(s.Legacy) > 0 && one(2) { // hosts with an older installation
		for _, host := range s.Hosts {
			if one(2) {
				s.Records[host] = keys.RunningVersionsOld
			}
		}
	}
	s.Plan.AlsoCount, s.Plan.MaxUnhealthy = one(4), -1
	if one(4) {
		s.Plan.MaxUnhealthy = r.IntN(3)
	}
	if one(3) && s.Plan.MaxFailed >= 0 { // a failure policy must have maxFailed
		s.Plan.Attempts = 1 + r.IntN(3)
	}
	if one(8) {
		s.Broken = s.Hosts[r.IntN(len(s.Hosts))]
	}
	s.OneWay = one(6)
	if one(6) {
		s.StepSeconds = 900
	}
	s.Events = newEvents(r, steps)
	if one(3) {
		s.Events = withRestores(r, s.Events, steps)
	}
	if s.Plan.MaxFailed >= 0 && one(2) {
		s.makeFail(r, steps)
	}
	if len(s.Legacy) == 0 && one(4) {
		s.steal(r, steps)
	}
	restores := slices.ContainsFunc(s.Events, func(e event) bool { return e.Kind == restoreBackup })
	if one(6) && !restores { // such agents have no protection from a restored backup
		for _, host := range s.Hosts {
			if one(2) && !slices.Contains(s.Legacy, host) {
				s.Old = append(s.Old, host)
				s.Events = append(s.Events, event{r.IntN(2 * steps), renewAgent, r.Uint64(), moment(r.IntN(2))})
			}
		}
	}
	if outages := s.Plan.AlsoCount || s.Plan.MaxUnhealthy >= 0; outages && one(2) {
		s.Events = withOutages(r, s.Events, steps)
	}
	if one(8) {
		s.Events = append(s.Events, event{r.IntN(steps / 4), copyHost, r.Uint64(), atOnce})
	}
	s.Events = sorted(s.Events)
	s.Git, s.Plan.Checks = one(5), one(6)
	if s.Plan.Windows && one(2) {
		s.changeZone(r)
	}
	return s
}

// changeZone lets the scenario begin up to two hours before its windows, in local time, skip an hour or have one twice.
func (s *scenario) changeZone(r *rand.Rand) {
	s.Plan.Zone = "Europe/Berlin"
	changes := []time.Time{time.Date(2000, time.March, 26, 1, 0, 0, 0, time.UTC), time.Date(2000, time.October, 29, 1, 0, 0, 0, time.UTC)}
	s.Begin = changes[r.IntN(len(changes))].Add(-time.Duration(r.IntN(120)) * time.Minute)
}

// steal adds a stolen token of an agent, which writes records. Limits are percentages, which invented hosts must not raise,
// and a role waits for another one, which forged records must not end.
func (s *scenario) steal(r *rand.Rand, steps int) {
	s.Plan.Percent, s.Plan.Fleet = 25+25*r.IntN(3), 0
	clear(s.Plan.Roles)
	s.Plan.Canaries = 0
	first, last := fleet.RoleOf(s.Hosts[0]), fleet.RoleOf(s.Hosts[len(s.Hosts)-1])
	if first != last {
		s.Plan.Order = map[string][]string{last: {first}}
	}
	s.Events = withAttacks(r, s.Events, steps)
}

// makeFail lets many upgrades fail. Limits are wide, so that other hosts can begin beside those that failed.
func (s *scenario) makeFail(r *rand.Rand, steps int) {
	if s.OneWay = r.IntN(2) == 0; !s.OneWay {
		s.Broken = s.Hosts[r.IntN(len(s.Hosts))]
	}
	s.Plan.Rollback = s.OneWay
	s.Plan.Global, s.Plan.Fleet = 2+r.IntN(2), 0
	clear(s.Plan.Roles)
	s.Plan.Attempts = r.IntN(2)
	s.Events = withFailures(r, s.Events, steps)
}
