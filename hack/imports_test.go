// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/jiocloud/upgrade-controller/"

// row is a line of the import table, which docs/design/imports.md shows. Packages of ours are written without the module's path;
// a/... is a and all packages below it.
type row struct {
	of string
	// ours lists the packages of ours that may be imported directly. Nil means all that no other row forbids.
	ours []string
	// never lists packages that must not be reached, not even through others.
	never []string
	// neverDirectly lists packages that must not be imported. Imported packages may use them.
	neverDirectly []string
	// pure packages import, of other modules, only those of the lists below.
	pure bool
}

var table = []row{
	{of: "apis/...", ours: []string{"apis/..."}, pure: true, never: []string{"github.com/hashicorp/..."}},
	{of: "apis/upgrade/v1alpha1", ours: []string{}},
	{of: "apis/upgrade/strictyaml", ours: []string{}},

	{of: "controllers/core/...", ours: []string{"controllers/core/...", "apis/..."}, pure: true,
		never: []string{"github.com/hashicorp/...", "github.com/prometheus/..."}},
	{of: "controllers/core/diff", ours: []string{}},
	{of: "controllers/core/wording", ours: []string{}},
	{of: "controllers/core/keys", never: []string{"controllers/core/rollout"}},
	{of: "controllers/core/rollout", never: []string{"controllers/core/keys"}},

	{of: "controllers/...", never: []string{"cmd/..."}},
	{of: "controllers/backoff", ours: []string{}},
	{of: "controllers/tlsalert", ours: []string{}},
	{of: "controllers/httpserver", ours: []string{}},
	{of: "controllers/cache", ours: []string{"controllers/core/diff", "controllers/core/keys", "controllers/store", "controllers/store/fleetstore"},
		never: []string{"controllers/core/rollout", "controllers/store/consul", "github.com/hashicorp/..."}},
	{of: "controllers/planstore", ours: []string{"controllers/core/...", "controllers/reconcile", "controllers/store", "controllers/store/fleetstore",
		"controllers/store/leaderelection", "apis/..."}, never: []string{"controllers/store/consul", "github.com/hashicorp/..."}},
	{of: "controllers/diagnose", ours: []string{"controllers/core/wording", "controllers/store"}},
	{of: "controllers/diagnose/fleets", ours: []string{"controllers/core/...", "controllers/diagnose", "controllers/store",
		"controllers/store/leaderelection", "apis/..."}, never: []string{"controllers/store/consul", "github.com/hashicorp/..."}},
	{of: "controllers/reconcile", ours: []string{"controllers/store"}},
	{of: "controllers/store", ours: []string{"controllers/backoff", "controllers/core/fleet", "controllers/core/keys"}},
	{of: "controllers/store/leaderelection", ours: []string{"controllers/backoff", "controllers/core/keys", "controllers/store"}},
	{of: "controllers/store/fleetstore", ours: []string{"controllers/core/...", "controllers/store"}},
	{of: "controllers/store/...", never: []string{"controllers/core/rollout", "controllers/cache", "controllers/planstore", "controllers/upgradeplan", "controllers/agent",
		"controllers/gitsync", "controllers/manager", "controllers/dashboard", "github.com/prometheus/..."}},
	{of: "controllers/upgradeplan/...", never: []string{"github.com/hashicorp/...", "controllers/store/consul",
		"github.com/prometheus/..."}},
	{of: "controllers/upgradeplan/describe", ours: []string{"controllers/core/...", "controllers/store", "controllers/store/leaderelection", "apis/..."}},
	{of: "controllers/gitsync/...", never: []string{"controllers/core/rollout", "controllers/planstore", "controllers/upgradeplan", "github.com/hashicorp/...",
		"github.com/prometheus/..."}},
	{of: "controllers/gitsync/repository", ours: []string{"controllers/tlsalert"}},
	{of: "controllers/agent/trust", ours: []string{}},
	{of: "controllers/agent/...", never: []string{"controllers/core/rollout", "controllers/gitsync", "controllers/planstore", "controllers/upgradeplan"}},
	{of: "controllers/manager/...", never: []string{"github.com/prometheus/..."}, neverDirectly: []string{"controllers/core/rollout", "controllers/core/simulate"}},
	{of: "controllers/metrics/...", ours: []string{"apis/...", "controllers/planstore", "controllers/store", "controllers/upgradeplan", "controllers/gitsync"}, never: []string{"github.com/hashicorp/..."}},
	{of: "controllers/dashboard/...", never: []string{"controllers/gitsync", "controllers/agent", "controllers/manager", "controllers/store/consul",
		"github.com/hashicorp/..."}},

	{of: "controllers/internal/dst", ours: []string{}},

	// Commands print what the planner says, so upgradectl names its states and reasons; that it does not plan by itself is
	// the linter's rule on rollout.Compute.
	{of: "cmd/..."},
	{of: "cmd/upgrade-controller/...", neverDirectly: []string{"controllers/core/rollout"}},
	// The agent knows keys and no plans, whose types are a fifth of a program.
	{of: "cmd/upgrade-agent/...", never: []string{"controllers/core/rollout", "controllers/gitsync", "controllers/planstore", "controllers/upgradeplan",
		"apis/upgrade/v1alpha1", "k8s.io/apimachinery/pkg/apis/..."}},

	// What is embedded, and nothing else.
	{of: "config", ours: []string{}, pure: true},

	{of: "hack/..."},
	{of: "hack/testca", ours: []string{}},
	{of: "hack/testtool", ours: []string{}},
}

// nowhere lists packages that no package may reach: Consul's source is under the BUSL; its api and sdk are not.
var nowhere = []string{"github.com/hashicorp/consul", "github.com/hashicorp/consul/agent/...", "github.com/hashicorp/consul/lib/..."}

// pureStandard are the packages of Go's library that neither do I/O nor read a clock nor are random by themselves; of
// time and math/rand/v2, the linter forbids the functions that do.
var pureStandard = []string{
	"bytes", "cmp", "container/...", "context", "crypto/sha256", "embed", "encoding", "encoding/...", "errors", "fmt", "hash/...",
	"io", "iter", "maps", "math", "math/big", "math/bits", "math/rand/v2", "path", "reflect", "regexp", "regexp/...", "slices",
	"sort", "strconv", "strings", "sync", "text/...", "time", "time/tzdata", "unicode", "unicode/...",
}

// pureOthers are the modules of others that pure packages may import: types, and readers of YAML, JSON and cron lines.
var pureOthers = []string{
	"k8s.io/apimachinery/pkg/...", "sigs.k8s.io/yaml", "go.yaml.in/yaml/v3", "github.com/go-json-experiment/json/...",
	"github.com/aymanbagabas/go-udiff/...", "github.com/robfig/cron/v3",
}

// listed is a package as go list prints it.
type listed struct {
	ImportPath, Name string
	Imports, Deps    []string
}

// violations returns what is wrong with a package, one sentence each.
func violations(p listed) []string {
	name := strings.TrimPrefix(p.ImportPath, module)
	var wrong []string
	complain := func(format string, args ...any) {
		wrong = append(wrong, name+" "+fmt.Sprintf(format, args...))
	}
	last := name[strings.LastIndex(name, "/")+1:]
	for _, vague := range []string{"util", "utils", "common", "helper", "helpers", "misc"} {
		if last == vague || p.Name == vague {
			complain("is named %s: name it after what it holds", vague)
		}
	}
	rows := slices.DeleteFunc(slices.Clone(table), func(r row) bool { return !matches(name, r.of) })
	if len(rows) == 0 {
		complain("is in no row of the import table")
	}
	rows = append(rows, row{of: name, never: nowhere})
	for _, r := range rows {
		for _, imported := range p.Imports {
			short, ours := strings.CutPrefix(imported, module)
			switch {
			case ours && r.ours != nil && !matches(short, r.ours...):
				complain("imports %s: of ours, %s may import only %q", short, r.of, r.ours)
			case matches(short, r.neverDirectly...):
				complain("imports %s", short)
			case !ours && r.pure && !matches(short, pureStandard...) && !matches(short, pureOthers...):
				complain("imports %s and must be pure", short)
			}
		}
		for _, reached := range p.Deps {
			if short := strings.TrimPrefix(reached, module); matches(short, r.never...) {
				complain("reaches %s", short)
			}
		}
	}
	return wrong
}

func matches(name string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		tree, all := strings.CutSuffix(pattern, "/...")
		return name == tree || all && strings.HasPrefix(name, tree+"/")
	})
}

func TestImportTable_HoldsForEveryPackage(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,Imports,Deps", "./...")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; packages++ {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range violations(p) {
			t.Error(wrong)
		}
	}
	if packages < 10 {
		t.Errorf("only %d packages were checked", packages)
	}
}

func TestImportTable_FindsViolations(t *testing.T) {
	const consulAPI = "github.com/hashicorp/consul/api"
	for _, tc := range []struct {
		name          string
		imports, deps []string
		want          []string
	}{
		{"controllers/core/rollout", []string{"fmt", "time", module + "controllers/core/fleet", "k8s.io/apimachinery/pkg/types"}, nil, nil},
		{"apis/upgrade/v1alpha1", []string{module + "apis/upgrade/strictyaml"}, nil,
			[]string{`apis/upgrade/v1alpha1 imports apis/upgrade/strictyaml: of ours, apis/upgrade/v1alpha1 may import only []`}},
		{"apis/upgrade/legacy", []string{module + "controllers/core/keys"}, nil,
			[]string{`apis/upgrade/legacy imports controllers/core/keys: of ours, apis/... may import only ["apis/..."]`}},
		{"controllers/core/status", []string{"os", "net/http"}, nil,
			[]string{"controllers/core/status imports os and must be pure", "controllers/core/status imports net/http and must be pure"}},
		{"controllers/core/rollout", nil, []string{module + "controllers/core/keys"}, []string{"controllers/core/rollout reaches controllers/core/keys"}},
		{"controllers/core/keys", nil, []string{module + "controllers/core/rollout"}, []string{"controllers/core/keys reaches controllers/core/rollout"}},
		{"controllers/core/diff", []string{module + "controllers/core/fleet"}, nil,
			[]string{"controllers/core/diff imports controllers/core/fleet: of ours, controllers/core/diff may import only []"}},
		{"controllers/upgradeplan", []string{"os"}, []string{consulAPI}, []string{"controllers/upgradeplan reaches " + consulAPI}},
		{"controllers/metrics", []string{module + "controllers/core/rollout"}, nil,
			[]string{`controllers/metrics imports controllers/core/rollout: of ours, controllers/metrics/... may import only ["apis/..." "controllers/planstore" "controllers/store" "controllers/upgradeplan" "controllers/gitsync"]`}},
		{"controllers/agent", nil, []string{module + "controllers/core/rollout"}, []string{"controllers/agent reaches controllers/core/rollout"}},
		{"controllers/store/consul", nil, []string{consulAPI}, nil},
		{"controllers/store/memory", nil, []string{module + "controllers/core/rollout"}, []string{"controllers/store/memory reaches controllers/core/rollout"}},
		{"controllers/manager", []string{module + "controllers/core/rollout"}, nil, []string{"controllers/manager imports controllers/core/rollout"}},
		{"cmd/upgradectl/app", nil, []string{"github.com/hashicorp/consul/agent/consul"}, []string{"cmd/upgradectl/app reaches github.com/hashicorp/consul/agent/consul"}},
		{"pkg/thing", nil, nil, []string{"pkg/thing is in no row of the import table"}},
		{"controllers/util", nil, nil, []string{"controllers/util is named util: name it after what it holds"}},
	} {
		got := violations(listed{ImportPath: module + tc.name, Imports: tc.imports, Deps: tc.deps})
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tc.name, diff)
		}
	}
}

func TestRepository_HasOnlyKnownTopFolders(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		known := []string{"cmd", "controllers", "apis", "config", "hack", "docs", "bin", "dist"} // the last two: not committed
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") && !slices.Contains(known, entry.Name()) {
			t.Errorf("%s is an unknown folder at the top", entry.Name())
		}
	}
}
