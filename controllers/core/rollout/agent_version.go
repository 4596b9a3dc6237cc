// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// agentVersions knows which versions of agents are older than the plan allows. Nil means that any is allowed.
type agentVersions struct {
	least *version.Version
	old   map[string]bool
}

func (p *Plan) agentVersions() *agentVersions {
	if p.minAgent == nil {
		return nil
	}
	return &agentVersions{p.minAgent, map[string]bool{}}
}

func compileMinAgent(spec *v1alpha1.UpgradePlanSpec) (*version.Version, error) {
	if spec.Hosts.MinAgentVersion == "" {
		return nil, nil
	}
	least, err := version.ParseSemantic(spec.Hosts.MinAgentVersion)
	if err != nil {
		return nil, fmt.Errorf("spec.hosts.minAgentVersion: %w", err)
	}
	return least, nil
}

// tooOld reports whether an agent of the version gets no grants. One without a valid version gets none.
func (a *agentVersions) tooOld(agent string) bool {
	if a == nil {
		return false
	}
	old, known := a.old[agent]
	if !known {
		v, err := version.ParseSemantic(agent)
		old = err != nil || v.LessThan(a.least)
		a.old[agent] = old
	}
	return old
}

func (ad *admission) isAgentTooOld(s *subject) bool {
	return s.Agent() && ad.agents.tooOld(s.AgentVersion())
}

func (ad *admission) agentTooOld(s *subject) (*Blocker, bool) { return nil, ad.isAgentTooOld(s) }

func (ad *admission) agentTooOldMessage(s *subject) string {
	return ad.messages.get(messageKey{v1alpha1.ReasonAgentTooOld, s.AgentVersion() + s.slotNote(), 0}, func() string {
		return fmt.Sprintf("its agent has version %s, and the plan grants agents from %s on", cmp.Or(s.AgentVersion(), "unknown"),
			ad.plan.Spec.Hosts.MinAgentVersion) + s.slotNote()
	})
}
