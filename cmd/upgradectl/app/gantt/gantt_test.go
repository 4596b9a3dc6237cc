// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gantt_test

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

	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/schedule"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/gantt"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/core/simulate"
)

// run simulates a plan over n agents of role web that take ten minutes each. Some of their upgrades fail.
func run(t *testing.T, spec string, failures float64, n int, fallback *rollout.Plan) simulate.Outcome {
	t.Helper()
	o := simulate.Options{Plan: plan(t, spec), Fallback: fallback, Start: time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC), Gap: time.Second,
		Duration: simulate.Span{Mean: 10 * time.Minute}, Failures: failures, Rand: rand.New(rand.NewPCG(1, 1))}
	for i := range n {
		o.Hosts = append(o.Hosts, simulate.Host{Name: fmt.Sprintf("web%d", i+1), Version: "v1", Agent: true})
	}
	s := simulate.New(o)
	s.SetVersion("v1")
	return s.Run(30 * 24 * time.Hour)
}

func plan(t *testing.T, spec string) *rollout.Plan {
	t.Helper()
	p := &v1alpha1.UpgradePlan{}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	v1alpha1.SetDefaults(p)
	compiled, err := rollout.CompilePlan(p, schedule.LoadZone)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// element is an XML element of a chart.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

// elements parses a chart, which must be XML.
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

func TestSVG_DrawsABarForEachHost(t *testing.T) {
	o := run(t, "version: v2\ninstructions: {rollingRules: {global: 2}}", 0, 5, nil)
	o.Runs[0].Message = `<script>alert("&")</script>` // text from outside stays text
	data := gantt.SVG(&o, "a & b")
	all := elements(t, data)
	if n := withClass(all, "rect", "bar"); n != 5 {
		t.Errorf("%d bars", n)
	}
	for _, e := range all {
		if slices.Contains([]string{"script", "image", "foreignObject", "a"}, e.name) {
			t.Errorf("unexpected element %s", e.name)
		}
	}
	if urls := regexp.MustCompile(`https?://[^"]*`).FindAllString(string(data), -1); len(urls) != 1 {
		t.Errorf("got URLs %q, want only the name space", urls)
	}
	if !strings.Contains(string(data), "prefers-color-scheme: dark") || all[0].attrs["aria-label"] != "a & b" {
		t.Error("no dark color scheme, or no title")
	}
}

func TestSVG_DrawsManyHostsAsAnArea(t *testing.T) {
	o := run(t, "version: v2\nfailurePolicy: {maxFailed: 50%}\ninstructions: {rollingRules: {global: 40}}", 0.1, 100, nil)
	data := gantt.SVG(&o, "many")
	all := elements(t, data)
	if withClass(all, "path", "area") != 1 || withClass(all, "path", "failed") != 1 || withClass(all, "rect", "bar") != 0 {
		t.Errorf("%s", data)
	}
}

func TestSVG_MarksWindowsAndFailureBudget(t *testing.T) {
	o := run(t, "version: v2\nfailurePolicy: {maxFailed: 0}\nwindows: {allow: [{schedule: '0 15 * * *', duration: 1h}]}", 1, 2, nil)
	marks := map[string]int{}
	for _, e := range elements(t, gantt.SVG(&o, "marks")) {
		if e.name == "rect" || e.name == "line" {
			marks[e.attrs["class"]]++
		}
	}
	if marks["closed"] != 2 || marks["budget"] != 2 { // once in the chart, once in the legend
		t.Errorf("%v", marks)
	}
}

func TestSVG_TellsOfARollback(t *testing.T) {
	const rules = "\nfailurePolicy: {maxFailed: 1, onExceeded: Rollback}\ninstructions: {rollingRules: {global: 3}}"
	back := plan(t, "version: v1"+rules)
	back.Generation = 4
	o := run(t, "version: v2"+rules, 0.9, 6, back)
	if o.Rollback == nil {
		t.Fatal("no rollback")
	}
	want := fmt.Sprintf(", rolls back to revision 4 (version v1) at %s: %d hosts reached it<",
		simulate.FormatDuration(o.Rollback.Time.Sub(o.Start)), o.Rollback.Upgraded)
	if chart := string(gantt.SVG(&o, "back")); !strings.Contains(chart, want) || strings.Contains(chart, "halted") {
		t.Errorf("no %q", want)
	}
}
