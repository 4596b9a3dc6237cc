// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"fmt"
	"maps"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/pass"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
)

// maxOrderedHosts bounds the hosts that are set aside by order, and those that may try again: the orders of a plan are one key.
const maxOrderedHosts = 1000

// NotFailedError says that an order for a failed host does not apply to a host.
type NotFailedError struct{ Host, Why string }

func (e *NotFailedError) Error() string { return fmt.Sprintf("host/%s %s", e.Host, e.Why) }

// SetAside takes failed hosts out of the rollout, so that they free their slots. They make no further attempt before Retry. A host
// that has not failed is a *NotFailedError, and nothing is written. It returns the hosts that were not set aside before.
func (p Plans) SetAside(ctx context.Context, name string, hosts []string, order fleet.Pause) (set []string, err error) {
	order.Accessor = accessor(ctx, p.Store)
	_, err = p.updateControl(ctx, name, func(u *controlUpdate) (bool, error) {
		set = nil
		o, err := p.observeFor(ctx, u, order)
		if err != nil {
			return false, err
		}
		aside := maps.Clone(u.Control.SetAside)
		if aside == nil {
			aside = map[string]fleet.SetAside{}
		}
		for _, host := range hosts {
			v := verdictOf(o, host)
			switch {
			case v == nil:
				return false, &NotFailedError{host, "is not known: nothing reports or records it"}
			case v.State == rollout.SetAside:
				continue
			case v.State != rollout.Failed:
				return false, notFailed(v, "set aside")
			}
			h, _ := o.Fleet.Host(host)
			aside[host] = fleet.SetAside{Pause: u.dated(order), Rollout: o.Fleet.Current.Rollout, Seen: h.LastIndex()}
			if u.Control.Retry != nil {
				delete(u.Control.Retry.Hosts, host)
			}
			set = append(set, host)
		}
		if len(aside) > maxOrderedHosts {
			return false, tooManyHosts("set aside", len(aside))
		}
		u.Control.SetAside = aside
		return len(set) > 0, nil
	})
	return set, err
}

// Retry lets failed hosts try again: those of the places, or with none all that have failed. Hosts that are set aside get a grant
// after all others, and those that wait for their next attempt get one at once. A host that has not failed is a *NotFailedError,
// and nothing is written. It returns the hosts.
func (p Plans) Retry(ctx context.Context, name string, places []fleet.Place, order fleet.Pause) (again []string, err error) {
	order.Accessor = accessor(ctx, p.Store)
	_, err = p.updateControl(ctx, name, func(u *controlUpdate) (bool, error) {
		o, err := p.observeFor(ctx, u, order)
		if err != nil {
			return false, err
		}
		if again, err = failedAt(o, places); err != nil {
			return false, err
		}
		retry := fleet.Retry{Pause: u.dated(order), Rollout: o.Fleet.Current.Rollout, Hosts: map[string]int{}}
		if u.Control.Retry != nil {
			maps.Copy(retry.Hosts, u.Control.Retry.Hosts)
			maps.DeleteFunc(retry.Hosts, func(host string, attempts int) bool { return triedAgain(o, host, attempts) })
		}
		aside := maps.Clone(u.Control.SetAside)
		for _, host := range again {
			delete(aside, host)
			h, _ := o.Fleet.Host(host)
			retry.Hosts[host] = reportedAttempts(h) // 0 keeps the place of a silent host in the failure budget
		}
		if len(retry.Hosts) > maxOrderedHosts {
			return false, tooManyHosts("retried", len(retry.Hosts))
		}
		u.Control.SetAside, u.Control.Retry = aside, &retry
		return len(again) > 0, nil
	})
	return again, err
}

func tooManyHosts(did string, n int) error {
	return fmt.Errorf("%d hosts would be %s by order, and at most %d can be: choose fewer", n, did, maxOrderedHosts)
}

// observeFor observes a plan for an order, and drops the orders of earlier rollouts about its hosts.
func (p Plans) observeFor(ctx context.Context, u *controlUpdate, order fleet.Pause) (*pass.Assessment, error) {
	if _, err := u.plan(); err != nil {
		return nil, err
	}
	o, err := Observe(ctx, p.Store, u.name, order.Time)
	if err != nil {
		return nil, err
	}
	if o.Fleet.Incomplete != "" {
		return nil, fmt.Errorf("the state of the hosts is unknown: %s", o.Fleet.Incomplete)
	}
	current := o.Fleet.Current.Rollout
	maps.DeleteFunc(u.Control.SetAside, func(_ string, s fleet.SetAside) bool { return s.Rollout != current })
	if r := u.Control.Retry; r != nil && r.Rollout != current {
		u.Control.Retry = nil
	}
	return o, nil
}

func verdictOf(o *pass.Assessment, host string) *rollout.Verdict {
	for i := range o.Decision.Verdicts {
		if v := &o.Decision.Verdicts[i]; v.Host == host {
			return v
		}
	}
	return nil
}

// failedAt returns the hosts of the places that have failed, or with no place all of them.
func failedAt(o *pass.Assessment, places []fleet.Place) ([]string, error) {
	var hosts []string
	for i := range o.Decision.Verdicts {
		v := &o.Decision.Verdicts[i]
		if (v.State == rollout.Failed || v.State == rollout.SetAside) && retryable(o, v) && (len(places) == 0 || within(v, places)) {
			hosts = append(hosts, v.Host)
		}
	}
	for _, at := range places {
		if at.Scope != fleet.ScopeHost {
			continue
		}
		switch v := verdictOf(o, at.Name); {
		case v == nil:
			return nil, &NotFailedError{at.Name, "is not known: nothing reports or records it"}
		case v.State != rollout.Failed && v.State != rollout.SetAside:
			return nil, notFailed(v, "retried")
		case !retryable(o, v):
			return nil, &NotFailedError{at.Name, fmt.Sprintf("has reported no failure, and may still work: "+
				"`upgradectl rollout set-aside host/%s` first (%s)", at.Name, v.Message)}
		}
	}
	return hosts, nil
}

// retryable reports whether a failed host can begin again: it is set aside, or it reported the failure.
func retryable(o *pass.Assessment, v *rollout.Verdict) bool {
	h, _ := o.Fleet.Host(v.Host)
	return v.State == rollout.SetAside || reportedAttempts(h) > 0
}

// reportedAttempts returns how often a host has failed by its report. Zero means that it reports no failure.
func reportedAttempts(h *fleet.Host) int {
	if h == nil || h.Report == nil || h.Report.Phase != fleet.PhaseFailed {
		return 0
	}
	return h.Report.Attempt
}

// triedAgain reports whether an order that lets a host try again has been used, or the host has gone.
func triedAgain(o *pass.Assessment, host string, attempts int) bool {
	v := verdictOf(o, host)
	if v == nil || v.Base == rollout.Upgraded {
		return true
	}
	h, _ := o.Fleet.Host(host)
	return attempts > 0 && reportedAttempts(h) != attempts
}

func notFailed(v *rollout.Verdict, done string) error {
	return &NotFailedError{v.Host, fmt.Sprintf("is %s: only a host that has failed can be %s (%s)", v.State, done, v.Message)}
}

func within(v *rollout.Verdict, places []fleet.Place) bool {
	for _, at := range places {
		if at.Scope == fleet.ScopeHost && at.Name == v.Host || at.Scope == fleet.ScopeRole && at.Name == v.Role {
			return true
		}
	}
	return false
}
