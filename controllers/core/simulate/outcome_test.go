// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package simulate_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

// run simulates a plan over agents at version 1, each of which takes ten minutes.
func run(t testing.TB, spec string, failures float64, names ...string) simulate.Outcome {
	t.Helper()
	s := simulate.New(simulate.Options{Plan: plan(t, spec), Hosts: hosts(true, "1", names...), Start: start, Gap: time.Second,
		Duration: simulate.Span{Mean: 10 * time.Minute}, Failures: failures, Rand: rand.New(rand.NewPCG(1, 1))})
	s.SetVersion("1")
	return s.Run(30 * 24 * time.Hour)
}

const ordered = "version: '2'\ninstructions: {rollingRules: {global: 2}, roleOrder: {web: db}}"

func TestOutcomeTellsWavesAndPeaks(t *testing.T) {
	o := run(t, ordered, 0, append(numbered("web", 3), numbered("db", 2)...)...)
	if !o.Complete || o.Upgraded != 5 || o.Total != 5 || o.Took() != 30*time.Minute || len(o.Stands) != 0 {
		t.Errorf("%+v", o)
	}
	var waves []string
	for _, w := range o.Waves {
		waves = append(waves, fmt.Sprintf("%d: %s to %s %v", w.Number, w.Start.Sub(start), w.End.Sub(start), w.Hosts))
	}
	want := []string{"1: 0s to 10m0s map[db:2]", "2: 10m0s to 20m0s map[web:2]", "3: 20m0s to 30m0s map[web:1]"}
	if d := cmp.Diff(want, waves); d != "" {
		t.Error(d)
	}
	for _, r := range o.Roles {
		if r.Peak != 2 || *r.Limit != 2 || r.Upgraded != r.Total {
			t.Errorf("%+v", r)
		}
	}
}

func TestOutcomeTellsWhereTheBudgetTrips(t *testing.T) {
	o := run(t, "version: '2'\nfailurePolicy: {maxFailed: 1}\ninstructions: {rollingRules: {global: 2}}", 1, numbered("web", 4)...)
	if o.Complete || o.Trip.Sub(start) != 10*time.Minute || !strings.Contains(o.Tripped, "2 of 4 hosts have failed") {
		t.Errorf("%+v", o)
	}
	if len(o.Stands) != 1 || !strings.HasPrefix(o.Stands[0], "halted since") {
		t.Errorf("%q", o.Stands)
	}
}

const rollingBack = "\nfailurePolicy: {maxFailed: 1, onExceeded: Rollback}\ninstructions: {rollingRules: {global: 3}}"

// rolledBack are six agents, 40% of whose upgrades to version 2 fail, and of those back to version 1, to revision 4.
func rolledBack(t testing.TB, seed uint64) *simulate.Simulation {
	t.Helper()
	back := plan(t, "version: '1'"+rollingBack)
	back.Generation = 4
	s := simulate.New(simulate.Options{Plan: plan(t, "version: '2'"+rollingBack), Fallback: back, Hosts: hosts(true, "1", numbered("web", 6)...),
		Start: start, Gap: time.Second, Duration: simulate.Span{Mean: 10 * time.Minute, Spread: 0.5}, Failures: 0.4,
		Rand: rand.New(rand.NewPCG(seed, 1))})
	s.SetVersion("1")
	return s
}

// A plan that is rolled back is never complete, however well that goes.
func TestOutcomeTellsOfARollback(t *testing.T) {
	back, stuck := 0, 0
	for seed := range uint64(40) {
		s := rolledBack(t, seed)
		o := s.Run(30 * 24 * time.Hour)
		r := o.Rollback
		if r == nil {
			continue
		}
		if o.Complete || o.Version != "2" || o.Trip != r.Time || !strings.HasPrefix(o.Tripped, "2 of 6 hosts have failed") ||
			o.Stands[0] != "rolls back to revision 4 (version 1): "+o.Tripped {
			t.Errorf("seed %d: %+v", seed, o)
		}
		if r.Complete != (r.Back == 6) || r.Complete != (len(o.Stands) == 1) || o.Upgraded+r.Back > 6 {
			t.Errorf("seed %d: %+v: %d upgraded, %d back, %q", seed, r, o.Upgraded, r.Back, o.Stands)
		}
		summary := fmt.Sprintf(", rolls back to revision 4 (version 1) at %s: %d are there<", simulate.Short(r.Time.Sub(start)), r.Back)
		if chart := string(o.SVG("back")); !strings.Contains(chart, summary) || strings.Contains(chart, "halted") {
			t.Errorf("seed %d: no %q", seed, summary)
		}
		for _, run := range o.Runs {
			if run.Began.Before(run.Released) || run.Ended.Before(run.Began) {
				t.Errorf("seed %d: %+v", seed, run)
			}
		}
		if r.Complete {
			back++
		} else {
			stuck++
		}
	}
	if back == 0 || stuck == 0 {
		t.Errorf("%d are back, %d stand still: the seeds try only one", back, stuck)
	}
}

// Who was silent for too long at the start is not taken to answer later, also not when the plan is rolled back.
func TestASilentHostDoesNotComeBack(t *testing.T) {
	s := rolledBack(t, 1)
	s.Failures = 0
	s.Pass()
	s.Act()
	raw := s.Raw()
	o := s.Options
	o.Hosts, o.Raw, o.Start = nil, &raw, start.Add(24*time.Hour)
	got := simulate.New(o).Run(24 * time.Hour)
	if got.Rollback == nil || got.Rollback.Complete || got.Rollback.Back != 3 {
		t.Errorf("%+v: %q", got.Rollback, got.Stands)
	}
	o.Plan = plan(t, "version: '2'\ninstructions: {rollingRules: {global: 4}}")
	if got := simulate.New(o).Run(24 * time.Hour); got.Rollback != nil || got.Upgraded != 3 {
		t.Errorf("%d are upgraded: %q", got.Upgraded, got.Stands)
	}
}

func TestOutcomeTellsWhatItWaitsFor(t *testing.T) {
	o := run(t, "version: '2'\ninstructions: {rollingRules: {global: 1}}\nwindows: {allow: [{schedule: '0 15 * * *', duration: 1h}]}", 1,
		numbered("web", 2)...)
	want := []string{"web: 1 of 1 slots of web are taken by web1; failed: web1"}
	if o.Complete || cmp.Diff(want, o.Stands) != "" || o.End.Sub(start) != 70*time.Minute {
		t.Errorf("after %s: %q", o.Took(), o.Stands)
	}
	if r := o.Roles[0]; r.Peak != 1 || r.PeakAt.Sub(start) != time.Hour {
		t.Errorf("%+v", r)
	}
}

func TestOutcomeTellsWhetherOneWindowIsEnough(t *testing.T) {
	const windowed = ordered + "\nwindows: {allow: [{schedule: '0 15 * * *', duration: %s}]}"
	names := append(numbered("web", 3), numbered("db", 2)...)
	if o := run(t, fmt.Sprintf(windowed, "40m"), 0, names...); !o.InWindow() || o.Took() != 90*time.Minute {
		t.Errorf("%+v", o)
	}
	o := run(t, fmt.Sprintf(windowed, "15m"), 0, names...)
	if o.InWindow() || !o.Complete || len(o.Shut) != 2 {
		t.Errorf("%+v", o)
	}
}

// A fleet as a store holds it goes on where it stands: who has begun ends, who has failed does not begin again.
func TestAFleetOfAStoreGoesOn(t *testing.T) {
	p := plan(t, "version: '2'\ninstructions: {rollingRules: {global: 2}}")
	o := simulate.Options{Plan: p, Hosts: hosts(true, "1", numbered("web", 5)...), Start: start, Gap: time.Second,
		Duration: simulate.Span{Mean: 10 * time.Minute}, Rand: rand.New(rand.NewPCG(1, 1))}
	before := simulate.New(o)
	before.SetVersion("1")
	before.Pass()
	before.Act()
	raw := before.Raw()
	report := fleet.Report{Version: "2", Phase: fleet.PhaseFailed, Time: start}
	for i, pair := range raw.Reports {
		if strings.HasSuffix(pair.Key, "/web2") {
			raw.Reports[i].Value = keys.EncodeReport(report)
		}
	}
	o.Hosts, o.Raw, o.Start = nil, &raw, start.Add(4*time.Minute)
	after := simulate.New(o)
	got := after.Run(24 * time.Hour)
	if got.Complete || got.Upgraded != 4 || got.Took() != 36*time.Minute {
		t.Errorf("%d after %s: %q\n%s", got.Upgraded, got.Took(), got.Stands, strings.Join(after.Log, "\n"))
	}
	if got.Runs[0].Host != "web1" || got.Runs[0].Wave != 0 || got.Runs[1].Host != "web3" || got.Runs[1].Wave != 1 {
		t.Errorf("%+v", got.Runs)
	}
}

func TestPercentile(t *testing.T) {
	took := []time.Duration{5, 1, 4, 2, 3}
	for p, want := range map[int]time.Duration{1: 1, 50: 3, 80: 4, 95: 5, 100: 5} {
		if got := simulate.Percentile(took, p); got != want {
			t.Errorf("p%d is %d, not %d", p, got, want)
		}
	}
	if took[0] != 5 || simulate.Percentile(nil, 50) != 0 {
		t.Error("the list was sorted, or none has a percentile")
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 30 * time.Minute: "30m", 65 * time.Minute: "1h5m", 2 * time.Hour: "2h",
		90*time.Second + 400*time.Millisecond: "1m30s", 2*time.Hour + 10*time.Second: "2h"} {
		if got := simulate.Short(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// element is an element of a chart.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

// elements are all of a document, which must be XML.
func elements(t *testing.T, data []byte) (all []element) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(string(data))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attrs: map[string]string{}}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			all = append(all, e)
		case xml.CharData:
			if len(all) > 0 {
				all[len(all)-1].text += string(token)
			}
		}
	}
}

func withClass(all []element, name, class string) int {
	n := 0
	for _, e := range all {
		if e.name == name && e.attrs["class"] == class && e.attrs["rx"] != "" || e.name == name && name == "path" && e.attrs["class"] == class {
			n++
		}
	}
	return n
}

func TestChartHasABarForEachHost(t *testing.T) {
	o := run(t, ordered, 0, append(numbered("web", 3), numbered("db", 2)...)...)
	o.Runs[0].Why = `<script>alert("&")</script>` // what others wrote stays text
	data := o.SVG("a & b")
	all := elements(t, data)
	if n := withClass(all, "rect", "bar"); n != 5 {
		t.Errorf("%d bars", n)
	}
	for _, e := range all {
		if slices.Contains([]string{"script", "image", "foreignObject", "a"}, e.name) {
			t.Errorf("a chart has no %s", e.name)
		}
	}
	if outside := regexp.MustCompile(`https?://[^"]*`).FindAllString(string(data), -1); len(outside) != 1 {
		t.Errorf("it speaks of %q, not of its own name space alone", outside)
	}
	if !strings.Contains(string(data), "prefers-color-scheme: dark") || all[0].attrs["aria-label"] != "a & b" {
		t.Error("no colours for the dark, or no title")
	}
}

func TestChartShowsManyHostsAsAHill(t *testing.T) {
	o := run(t, "version: '2'\nfailurePolicy: {maxFailed: 50%}\ninstructions: {rollingRules: {global: 40}}", 0.1, numbered("web", 100)...)
	data := o.SVG("many")
	all := elements(t, data)
	if withClass(all, "path", "hill") != 1 || withClass(all, "path", "failed") != 1 || withClass(all, "rect", "bar") != 0 {
		t.Errorf("%s", data)
	}
}

func TestChartMarksWindowsAndTheTrip(t *testing.T) {
	o := run(t, "version: '2'\nfailurePolicy: {maxFailed: 0}\nwindows: {allow: [{schedule: '0 15 * * *', duration: 1h}]}", 1, "web1", "web2")
	marks := map[string]int{}
	for _, e := range elements(t, o.SVG("marks")) {
		if e.name == "rect" || e.name == "line" {
			marks[e.attrs["class"]]++
		}
	}
	if marks["shut"] != 2 || marks["trip"] != 2 { // each once in the chart, once in the legend
		t.Errorf("%v", marks)
	}
}
