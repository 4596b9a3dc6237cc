// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package permission_test

import (
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/permission"
)

const (
	before = 5  // an index older than current_version
	after  = 15 // an index newer than current_version
)

// view is an agent at v1 that has no key. The current version is v2, written at index 10.
func view(change ...func(*permission.View)) permission.View {
	v := permission.View{Local: "v1", Current: fleet.CurrentVersion{Name: "v2", Index: 10}}
	for _, c := range change {
		c(&v)
	}
	return v
}

func legacy(v *permission.View)    { v.Kind = permission.Legacy }
func firstBoot(v *permission.View) { v.Local = "" }
func paused(v *permission.View)    { v.PausedBy = fleet.ScopeRole }
func onHold(v *permission.View)    { v.OnHold = true }
func started(v *permission.View)   { v.Started = "v2" }
func failed(v *permission.View)    { v.Failed = true }
func local(version string) func(*permission.View) {
	return func(v *permission.View) { v.Local = version }
}

func keyAgent(v *permission.View) { v.Kind = permission.KeyAgent }

// governed makes rollout 3 the current one.
func governed(v *permission.View) { v.Current.Governed, v.Current.Rollout = true, 3 }

// grant is a grant for a version in a rollout.
func grant(version string, rollout uint64) func(*permission.View) {
	return func(v *permission.View) {
		v.Grant = &fleet.Grant{Rollout: rollout, Version: version, ID: "3.7", Index: after}
	}
}

func usedGrant(v *permission.View)   { v.LastGrant = "3.7" }
func startedNow(v *permission.View)  { v.Started, v.StartedRollout = "v2", 3 }
func startedThen(v *permission.View) { v.Started, v.StartedRollout = "v2", 2 }
func finished(rollout uint64) func(*permission.View) {
	return func(v *permission.View) { v.LastRollout = rollout }
}

func action(current, stored bool) func(*permission.View) {
	return func(v *permission.View) { v.Current.HasAction, v.HasAction = current, stored }
}

func key(text string, index uint64) func(*permission.View) {
	values := map[string]fleet.Value{"True": fleet.True, "False": fleet.False, "v1": fleet.Version, "v2": fleet.Version}
	return func(v *permission.View) {
		value, ok := values[text]
		if !ok {
			value = fleet.Invalid
		}
		v.Setting = fleet.Setting{Scope: fleet.ScopeHost, EnableValue: fleet.EnableValue{Value: value, Text: text, Index: index}}
	}
}

func TestChange(t *testing.T) {
	for name, tc := range map[string]struct {
		view    permission.View
		allowed bool
		reason  permission.Reason
	}{
		"no current version":                        {permission.View{Local: "v1"}, false, permission.NoVersion},
		"an invalid current version":                {permission.View{Local: "v1", Current: fleet.CurrentVersion{Name: "a b", Index: 10}}, false, permission.InvalidVersion},
		"at the version":                            {view(local("v2"), key("True", after)), false, permission.AtVersion},
		"at the version, another change unfinished": {view(local("v2"), started, key("True", after)), true, permission.Resuming},
		"no key":                                   {view(), false, permission.NotGranted},
		"granted":                                  {view(key("True", after)), true, permission.Granted},
		"granted by version":                       {view(key("v2", after)), true, permission.Granted},
		"granted for another version":              {view(key("v1", after)), false, permission.OtherVersion},
		"a key older than the version":             {view(key("True", before)), false, permission.OldGrant},
		"a key as old as the version":              {view(key("True", 10)), false, permission.OldGrant},
		"disabled":                                 {view(key("False", after)), false, permission.Disabled},
		"an invalid value":                         {view(key("yes", after)), false, permission.InvalidValue},
		"paused":                                   {view(key("True", after), paused), false, permission.Paused},
		"paused after the start":                   {view(key("True", after), paused, started), false, permission.Paused},
		"on hold":                                  {view(key("True", after), onHold), false, permission.OnHold},
		"on hold after the start":                  {view(key("True", before), onHold, started), true, permission.Resuming},
		"resumes by an old key":                    {view(key("True", before), started), true, permission.Resuming},
		"resumes without a key":                    {view(started), true, permission.Resuming},
		"does not resume when disabled":            {view(key("False", after), started), false, permission.Disabled},
		"a failed start needs a new grant":         {view(key("True", before), started, failed), false, permission.OldGrant},
		"first boot without a key":                 {view(firstBoot), true, permission.FirstBoot},
		"first boot by an old key":                 {view(firstBoot, key("True", before)), true, permission.FirstBoot},
		"first boot when disabled":                 {view(firstBoot, key("False", after)), false, permission.Disabled},
		"an action":                                {view(action(true, true), key("True", after)), true, permission.Granted},
		"an action on first boot":                  {view(action(true, true), firstBoot), false, permission.NoVersionYet},
		"an action that the version does not name": {view(action(false, true), key("True", after)), false, permission.ActionUnclear},
		"an action that is missing":                {view(action(true, false), key("True", after)), false, permission.ActionUnclear},
		"legacy without a key":                     {view(legacy), true, permission.NoneSet},
		"legacy by any value":                      {view(legacy, key("yes", before)), true, permission.Granted},
		"legacy when disabled":                     {view(legacy, key("False", after)), false, permission.Disabled},
		"legacy when paused":                       {view(legacy, paused), false, permission.Paused},

		"governed: no grant":                           {view(governed), false, permission.NotGranted},
		"governed: a key is no grant":                  {view(governed, key("True", after)), false, permission.NotGranted},
		"governed: first boot needs a grant":           {view(governed, firstBoot, key("True", after)), false, permission.NotGranted},
		"governed: granted":                            {view(governed, grant("v2", 3)), true, permission.Granted},
		"governed: granted on first boot":              {view(governed, firstBoot, grant("v2", 3)), true, permission.Granted},
		"governed: granted in another rollout":         {view(governed, grant("v2", 2)), false, permission.OldGrant},
		"governed: granted for another version":        {view(governed, grant("v1", 3)), false, permission.OldGrant},
		"governed: a grant is used once":               {view(governed, grant("v2", 3), usedGrant), false, permission.UsedGrant},
		"governed: paused":                             {view(governed, grant("v2", 3), paused), false, permission.Paused},
		"governed: on hold":                            {view(governed, grant("v2", 3), onHold), false, permission.OnHold},
		"governed: at the version":                     {view(governed, local("v2"), grant("v2", 3)), false, permission.AtVersion},
		"governed: resumes in its rollout":             {view(governed, startedNow), true, permission.Resuming},
		"governed: resumes on hold":                    {view(governed, startedNow, onHold), true, permission.Resuming},
		"governed: resumes a start that names none":    {view(governed, started), true, permission.Resuming},
		"governed: does not resume an earlier one":     {view(governed, startedThen), false, permission.NotGranted},
		"governed: retries while its keys enable":      {view(governed, startedNow, failed, key("True", before)), true, permission.Retrying},
		"governed: does not retry when disabled":       {view(governed, startedNow, failed, key("False", before)), false, permission.NotGranted},
		"governed: does not retry on hold":             {view(governed, startedNow, failed, onHold), false, permission.OnHold},
		"governed: the store went back":                {view(governed, grant("v2", 3), finished(4)), false, permission.StoreWentBack},
		"governed: the store went back, started":       {view(governed, startedNow, finished(4)), false, permission.StoreWentBack},
		"governed: finished this rollout":              {view(governed, grant("v2", 3), finished(3)), true, permission.Granted},
		"governed: an agent by keys":                   {view(governed, keyAgent, key("True", after)), true, permission.Granted},
		"governed: an agent by keys ignores grants":    {view(governed, keyAgent, grant("v2", 3)), false, permission.NotGranted},
		"not governed: a grant is ignored":             {view(grant("v2", 0)), false, permission.NotGranted},
		"not governed: the memory does not matter":     {view(key("True", after), finished(4)), true, permission.Granted},
		"governed: legacy goes by its key and nothing": {view(governed, legacy, key("True", before)), true, permission.Granted},
		"legacy on hold":                               {view(legacy, onHold, key("True", after)), true, permission.Granted},
		"legacy at the version":                        {view(legacy, local("v2")), false, permission.AtVersion},
	} {
		t.Run(name, func(t *testing.T) {
			if got := permission.Change(tc.view); got.Allowed != tc.allowed || got.Reason != tc.reason {
				t.Errorf("%+v, want %v %s", got, tc.allowed, tc.reason)
			}
		})
	}
}

func TestGrantIgnoresPausesHoldsAndActions(t *testing.T) {
	v := view(key("True", after), paused, onHold, action(true, false))
	if got := permission.Grant(v); !got.Allowed || permission.Change(v).Allowed {
		t.Errorf("grant %+v, change %+v", got, permission.Change(v))
	}
	if got := permission.Grant(permission.View{Kind: permission.Legacy}); got.Allowed {
		t.Errorf("without a current version: %+v", got)
	}
}

func TestRunPuppet(t *testing.T) {
	for name, tc := range map[string]struct {
		view    permission.View
		allowed bool
		reason  permission.Reason
	}{
		"no key":                            {view(), true, permission.NoneSet},
		"enabled":                           {view(key("True", before)), true, permission.Enabled},
		"enabled by its version":            {view(key("v1", before)), true, permission.Enabled},
		"enabled for the next version only": {view(key("v2", after)), false, permission.OtherVersion},
		"disabled":                          {view(key("False", before)), false, permission.Disabled},
		"an invalid value":                  {view(key("yes", before)), false, permission.InvalidValue},
		"paused":                            {view(key("True", before), paused), false, permission.Paused},
		"on hold":                           {view(key("True", before), onHold), true, permission.Enabled},
		"legacy without a key":              {view(legacy), true, permission.NoneSet},
		"legacy by any value":               {view(legacy, key("yes", before)), true, permission.Enabled},
		"legacy when disabled":              {view(legacy, key("False", before)), false, permission.Disabled},
		"legacy when paused":                {view(legacy, paused), false, permission.Paused},
	} {
		t.Run(name, func(t *testing.T) {
			if got := permission.RunPuppet(tc.view); got.Allowed != tc.allowed || got.Reason != tc.reason {
				t.Errorf("%+v, want %v %s", got, tc.allowed, tc.reason)
			}
		})
	}
}
