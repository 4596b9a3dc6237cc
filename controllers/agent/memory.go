// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

// remember saves what a host learns without a change: that it has the version of the current rollout, and, after an
// interruption, which grant it used.
func (a *Agent) remember(o *Observation) error {
	m := o.Memory
	if o.View.Current.Governed && o.View.Local == o.View.Current.Name && o.View.Started == "" {
		m.Rollout = max(m.Rollout, o.View.Current.Rollout)
	}
	// Ids of grants ascend. A marker with an earlier one is of a store that was restored from a backup.
	if s := o.Own.Started; s != nil && s.By == "" && fleet.CompareNatural(s.Grant, m.Grant) > 0 {
		m.Grant = s.Grant
	}
	if m == o.Memory {
		return nil
	}
	o.Memory = m
	return a.save(m)
}

func (a *Agent) save(m Remembered) error {
	if err := a.Memory.Save(m); err != nil {
		return fmt.Errorf("save the memory of rollouts: %w", err)
	}
	return nil
}

// usesGrant reports whether the change starts by the host's grant, which the start deletes.
func (v Verdict) usesGrant(o Observation) bool {
	return o.View.Current.Governed && v.Change.Reason == permission.Granted
}

// processMemory remembers until the process ends.
type processMemory struct{ Remembered }

func (m *processMemory) Load() (Remembered, bool, error) { return m.Remembered, true, nil }

func (m *processMemory) Save(r Remembered) error {
	m.Remembered = r
	return nil
}
