// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

func valueOf(value []byte) keys.Pair {
	return keys.Pair{Key: "key", Value: value, CreateIndex: 1, ModifyIndex: 1}
}

func TestDecodeReport_RefusesWhatIsTooLong(t *testing.T) {
	long := strings.Repeat("x", keys.MaxName+1)
	for name, r := range map[string]fleet.Report{
		"role":    {Role: long[:keys.MaxRole+1]},
		"version": {Version: long},
		"grant":   {Reached: fleet.Reached{Version: "v1", Grant: long}},
		"machine": {Machine: long},
		"agent":   {AgentVersion: long},
		"value":   {Message: strings.Repeat("x", keys.MaxValue)},
	} {
		r.Schema, r.Phase = fleet.ReportSchema, fleet.PhaseIdle
		got := keys.DecodeReport(valueOf(keys.EncodeReport(r)))
		if got.Schema != fleet.ReportSchema || got.Phase != "" || !strings.HasPrefix(got.Message, "the report cannot be read: ") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	r := fleet.Report{Role: long[:keys.MaxRole], Version: long[:keys.MaxName], Phase: fleet.PhaseFailed, Message: strings.Repeat("m", keys.MaxMessage+1)}
	if got := keys.DecodeReport(valueOf(keys.EncodeReport(r))); got.Role != r.Role || got.Version != r.Version || len(got.Message) != keys.MaxMessage {
		t.Errorf("%+v", got)
	}
}

// What hosts and operators wrote reaches terminals.
func TestDecode_RemovesWhatControlsTerminals(t *testing.T) {
	const attack = "a\x1b]0;title\x07b\u202ec\u009b31md\x00\r\x7f"
	const clean = "a\uFFFD]0;title\uFFFDb\uFFFDc\uFFFD31md\uFFFD\uFFFD\uFFFD"
	r := keys.DecodeReport(valueOf(keys.EncodeReport(fleet.Report{Version: attack, AgentVersion: attack, Message: attack + "\n", Reason: attack})))
	if r.Version != clean || r.AgentVersion != clean || r.Message != clean+"\n" || r.Reason != clean {
		t.Errorf("%+v", r)
	}
	h := keys.DecodeHold(valueOf(keys.EncodeHold(fleet.Hold{Reason: attack, Owner: attack})))
	if h.Reason != clean || h.Owner != clean {
		t.Errorf("%+v", h)
	}
	m := keys.DecodeStarted(valueOf(keys.EncodeStarted(fleet.Started{Version: attack, From: attack})))
	if m.Version != clean || m.From != clean {
		t.Errorf("%+v", m)
	}
	c, err := keys.DecodeControl(valueOf(keys.EncodeControl(fleet.Control{Pause: &fleet.Pause{By: attack, Reason: attack}})))
	if err != nil || c.Pause.By != clean || c.Pause.Reason != clean {
		t.Errorf("%+v, %v", c.Pause, err)
	}
}
