// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

func TestDecodeReport_AcceptsWhatEncodingJSONAccepts(t *testing.T) {
	valid := `{"schema":2,"role":"web","version":"v1","phase":"Failed","message":"\u0000 \ud800 \"x","time":"2026-03-06T12:00:00Z",` +
		`"Rollout":7,"rollout":8,"attempt":2,"durationSeconds":-4,"agentVersion":"v0","machine":null,"new":{"a":[1]},"otherMachine":{"duplicate":true}}`
	rapid.Check(t, func(t *rapid.T) {
		value := []byte(valid)
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			at := rapid.IntRange(0, len(value)-1).Draw(t, "at")
			value[at] = rapid.SampledFrom([]byte("\"{}[],:0-.eE \xff")).Draw(t, "byte")
		}
		var want fleet.Report
		err := json.Unmarshal(value, &want)
		for _, text := range []*string{&want.Role, &want.Version, (*string)(&want.Phase), &want.AgentVersion, &want.Machine, &want.Other.Machine, &want.Reason} {
			*text = keys.Text(*text, keys.MaxName)
		}
		want.Message = keys.Text(want.Message, keys.MaxMessage)
		got := keys.DecodeReport(keys.Pair{Key: "upgrade.jiocloud.com/hosts/web1", Value: value, ModifyIndex: 1})
		if refused := strings.HasPrefix(got.Message, "the report cannot be read"); refused != (err != nil) {
			t.Fatalf("%s: decoded to %+v, encoding/json says %v", value, got, err)
		}
		if d := cmp.Diff(&want, got); err == nil && want.Schema <= fleet.ReportSchema && d != "" {
			t.Fatalf("%s (-encoding/json +DecodeReport):\n%s", value, d)
		}
	})
}

// A restored store gives the same index to another value, so the indexes are drawn apart from the values.
func TestDecoder_DecodesWhatDecodeDoes(t *testing.T) {
	var l keys.Layout
	rapid.Check(t, func(t *rapid.T) {
		var d keys.Decoder
		for range 5 {
			var s keys.Snapshot
			for host := range 5 {
				if !rapid.Bool().Draw(t, "reports") {
					continue
				}
				value := []byte("malformed")
				if version := rapid.SampledFrom([]string{"v1", "v2", ""}).Draw(t, "version"); version != "" {
					value = keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema, Version: version})
				}
				s.Reports = append(s.Reports, keys.Pair{Key: l.Report(fmt.Sprintf("web%d", host)), Value: value,
					ModifyIndex: rapid.Uint64Range(0, 2).Draw(t, "index")})
			}
			if d := cmp.Diff(keys.Decode(s, l, keys.Options{}), d.Decode(s, l, keys.Options{})); d != "" {
				t.Fatalf("(-Decode +Decoder):\n%s", d)
			}
		}
	})
}

// Several goroutines decode the reports of a large fleet.
func TestDecoder_DecodesALargeFleet(t *testing.T) {
	const hosts = 10_000
	var l keys.Layout
	var d keys.Decoder
	for _, round := range []int{1, 2} {
		var s keys.Snapshot
		for i := range hosts {
			version := fmt.Sprintf("v%d", i)
			if i%3 == 0 {
				version += fmt.Sprintf(".%d", round)
			}
			s.Reports = append(s.Reports, keys.Pair{Key: l.Report(fmt.Sprintf("web%05d", i)), ModifyIndex: 1,
				Value: keys.EncodeReport(fleet.Report{Schema: fleet.ReportSchema, Role: "web", Version: version})})
		}
		f := d.Decode(s, l, keys.Options{})
		if len(f.Hosts) != hosts {
			t.Fatalf("%d hosts", len(f.Hosts))
		}
		for i, h := range f.Hosts {
			if want := *keys.DecodeReport(s.Reports[i]); h.Name != fmt.Sprintf("web%05d", i) || *h.Report != want {
				t.Fatalf("round %d: host %d is %s with %+v, want %+v", round, i, h.Name, *h.Report, want)
			}
		}
	}
}

func TestDecoder_SharesReportsThatDidNotChange(t *testing.T) {
	var l keys.Layout
	var d keys.Decoder
	decode := func(versions ...string) []fleet.Host {
		var s keys.Snapshot
		for i, version := range versions {
			s.Reports = append(s.Reports, keys.Pair{Key: l.Report(fmt.Sprintf("web%d", i)), ModifyIndex: 1,
				Value: keys.EncodeReport(fleet.Report{Version: version})})
		}
		return d.Decode(s, l, keys.Options{}).Hosts
	}
	before, after := decode("v1", "v1"), decode("v1", "v2")
	if before[0].Report != after[0].Report || after[1].Report.Version != "v2" {
		t.Errorf("the same report is shared: %v; the version of the other: %s", before[0].Report == after[0].Report, after[1].Report.Version)
	}
}
