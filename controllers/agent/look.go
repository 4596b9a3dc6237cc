// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import "context"

// Look reads all that decides for the host, in one transaction, and decides. It changes nothing. Of the options it needs
// Host, Layout, Store, Version and Clock.
func (a *Agent) Look(ctx context.Context) (Observation, Verdict, error) {
	o, err := a.observe(ctx)
	if err != nil {
		return o, Verdict{}, err
	}
	return o, Decide(o), nil
}
