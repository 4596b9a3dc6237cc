// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/metrics"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return tool(t, "promtool", args...)
}

// alerts is the content of config/monitoring/alerts.yaml.
type alerts struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr         string
			Labels, Annotations map[string]string
		}
	}
}

// alertTests is the content of config/monitoring/alerts_test.yaml.
type alertTests struct {
	Tests []struct {
		AlertRuleTest []struct {
			Alertname string
			ExpAlerts []any `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	}
}

// dashboard is the part of config/monitoring/dashboard.json that tests read.
type dashboard struct {
	SchemaVersion int
	Templating    struct{ List []struct{ Name, Type string } }
	Panels        []panel
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  map[string]string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		Expr       string
		Datasource map[string]string
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "config/monitoring/dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions returns the queries of the alerts and of the dashboard, with Grafana's variables filled in.
func expressions(t *testing.T) []string {
	t.Helper()
	var a alerts
	readYAML(t, "config/monitoring/alerts.yaml", &a)
	var all []string
	for _, r := range a.Groups[0].Rules {
		all = append(all, r.Expr)
	}
	filled := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$plan", ".*", "$role", ".*")
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			all = append(all, filled.Replace(target.Expr))
		}
	}
	return all
}

func TestAlerts_PassPromtool(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root, "config", "monitoring")
	if out, err := promtool(t, "check", "rules", filepath.Join(dir, "alerts.yaml")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := promtool(t, "test", "rules", filepath.Join(dir, "alerts_test.yaml")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// promtool finds an alert that never fires, and one that always does.
	for _, wrong := range []string{"== 2", ">= 0"} {
		broken := t.TempDir()
		text := strings.Replace(read(t, "config/monitoring/alerts.yaml"), `phase="Halted"}) == 1`, `phase="Halted"}) `+wrong, 1)
		write(t, filepath.Join(broken, "alerts.yaml"), text)
		tests := write(t, filepath.Join(broken, "alerts_test.yaml"), read(t, "config/monitoring/alerts_test.yaml"))
		if out, err := promtool(t, "test", "rules", tests); err == nil || !strings.Contains(out, "UpgradePlanHalted") {
			t.Errorf("%s: %v\n%s", wrong, err, out)
		}
	}
}

func TestAlerts_HaveTestsAndRunbooks(t *testing.T) {
	t.Parallel()
	var a alerts
	var tests alertTests
	readYAML(t, "config/monitoring/alerts.yaml", &a)
	readYAML(t, "config/monitoring/alerts_test.yaml", &tests)
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, at := range test.AlertRuleTest {
			fires[at.Alertname] = fires[at.Alertname] || len(at.ExpAlerts) > 0
			quiet[at.Alertname] = quiet[at.Alertname] || len(at.ExpAlerts) == 0
		}
	}
	docs := read(t, "docs/reference/alerts.md")
	for _, r := range a.Groups[0].Rules {
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: a test that it fires: %v, that it does not: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s lacks a summary, a description or a severity", r.Alert)
		}
		want := "https://github.com/jiocloud/upgrade-controller/blob/HEAD/docs/reference/alerts.md#" + strings.ToLower(r.Alert)
		if r.Annotations["runbook_url"] != want || !strings.Contains(docs, "\n### "+r.Alert+"\n") {
			t.Errorf("%s: the runbook is %s", r.Alert, r.Annotations["runbook_url"])
		}
	}
	if n := len(a.Groups[0].Rules); n != strings.Count(docs, "\n### Upgrade") {
		t.Errorf("%d alerts, and docs/reference/alerts.md has others", n)
	}
}

func TestDashboard_IsWellFormed(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.SchemaVersion < 39 || d.Templating.List[0].Type != "datasource" || d.Templating.List[0].Name != "datasource" {
		t.Errorf("schemaVersion %d, variables %+v", d.SchemaVersion, d.Templating.List)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("%d %q: the id is taken, or there is no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := cells[cell]; other != "" || cell[0] >= 24 {
					t.Fatalf("%q overlaps %q, or the right edge", p.Title, other)
				}
				cells[cell] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource["uid"] != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%q asks %q for %d things", p.Title, p.Datasource, len(p.Targets))
		}
		for _, target := range p.Targets {
			if target.Datasource["uid"] != "${datasource}" {
				t.Errorf("%q asks %q", p.Title, target.Datasource)
			}
		}
	}
}

func TestExpressions_PassPromtool(t *testing.T) {
	t.Parallel()
	check := func(expressions []string) (string, error) {
		var rules strings.Builder
		rules.WriteString("groups:\n- name: all\n  rules:\n")
		for i, e := range expressions {
			fmt.Fprintf(&rules, "  - {record: 'expression:%d', expr: %q}\n", i, e)
		}
		return promtool(t, "check", "rules", write(t, filepath.Join(t.TempDir(), "rules.yaml"), rules.String()))
	}
	all := expressions(t)
	if out, err := check(all); err != nil || len(all) < 20 {
		t.Errorf("of %d expressions: %v\n%s", len(all), err, out)
	}
	if out, err := check(append(all, "sum by (plan (up)")); err == nil {
		t.Errorf("promtool did not find the error:\n%s", out)
	}
}

// exported returns the metrics of a leading controller, each with its labels.
func exported(t *testing.T) map[string]map[string]bool {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := metrics.New(registry, "v1", time.Minute)
	metrics.RegisterWatches(registry, func() (int, time.Duration) { return 0, 0 })
	metrics.NewExpiry(registry).Set([]store.Credential{{Kind: "token", End: time.Now()}})
	m.Request("keys", "200", 1)
	pass := upgradeplan.Pass{Plan: "fleet", Begun: time.Now()}
	pass.Roles, pass.Agents = []v1alpha1.RoleStatus{{Name: "web"}}, map[string]int{"v0.1.0": 1}
	m.Reconciled(pass)
	pass.Err = errors.New("no answer")
	m.Reconciled(pass)
	m.Synced(gitsync.Sync{Source: "default", Revision: "main@sha1:1"})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]bool{}
	for _, f := range families {
		labels := map[string]bool{}
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels[l.GetName()] = true
		}
		all[f.GetName()] = labels
		if f.GetMetric()[0].GetHistogram() != nil {
			withLe := maps.Clone(labels)
			withLe["le"] = true
			all[f.GetName()+"_bucket"], all[f.GetName()+"_count"], all[f.GetName()+"_sum"] = withLe, labels, labels
		}
	}
	return all
}

// TestAlerts_QueryExistingSeries finds metrics, and labels in selectors, that no controller has.
func TestAlerts_QueryExistingSeries(t *testing.T) {
	t.Parallel()
	names := regexp.MustCompile(`\b((?:upgrade_controller|go|process)_\w+)(?:\{([^}]*)\})?`)
	labels := regexp.MustCompile(`(\w+)\s*[=!]~?"`)
	known := exported(t)
	found := func(expression string) (unknown []string) {
		for _, m := range names.FindAllStringSubmatch(expression, -1) {
			if known[m[1]] == nil {
				unknown = append(unknown, m[1])
				continue
			}
			for _, l := range labels.FindAllStringSubmatch(m[2], -1) {
				if l[1] != "job" && l[1] != "instance" && !known[m[1]][l[1]] {
					unknown = append(unknown, m[1]+" "+l[1])
				}
			}
		}
		return unknown
	}
	for _, e := range expressions(t) {
		if unknown := found(e); len(unknown) > 0 || !names.MatchString(e) {
			t.Errorf("%s: there is no %q", e, unknown)
		}
	}
	want := []string{"upgrade_controller_host", "upgrade_controller_hosts rol"}
	if got := found(`sum(upgrade_controller_host) / sum(upgrade_controller_hosts{job="x", rol=~".*", state!="Failed"})`); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// TestMetrics_AreInTheReference compares the table of docs/reference/metrics.md with what a controller has.
func TestMetrics_AreInTheReference(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(read(t, "docs/reference/metrics.md"), "\n## Metrics\n")
	documented := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|([^|]*)\\|").FindAllStringSubmatch(table, -1) {
		documented[row[1]] = slices.Sorted(slices.Values(regexp.MustCompile(`\w+`).FindAllString(row[2], -1)))
	}
	has := map[string][]string{}
	for name, labels := range exported(t) {
		short, ours := strings.CutPrefix(name, "upgrade_controller_")
		if ours && !regexp.MustCompile(`seconds_(bucket|count|sum)$`).MatchString(name) {
			has[short] = slices.Sorted(maps.Keys(labels))
		}
	}
	if d := cmp.Diff(has, documented); d != "" {
		t.Errorf("docs/reference/metrics.md: -has +says:\n%s", d)
	}
}
