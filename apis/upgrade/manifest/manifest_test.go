// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

// Each file in testdata has errors. Its golden file has all of them.
func TestDecode_ReportsAllErrors(t *testing.T) {
	goldens, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(goldens) == 0 {
		t.Fatal("no test data", err)
	}
	for _, golden := range goldens {
		file := strings.TrimSuffix(golden, ".golden")
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			documents, err := manifest.Decode(filepath.Base(file), data)
			if err == nil || documents != nil {
				t.Fatalf("got %d documents and the error %v", len(documents), err)
			}
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, errRead := os.ReadFile(golden)
			if errRead != nil {
				t.Fatal(errRead)
			}
			if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

const head = "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: fleet}\n"

func TestDecode(t *testing.T) {
	plan := func(spec v1alpha1.UpgradePlanSpec) *v1alpha1.UpgradePlan {
		p := &v1alpha1.UpgradePlan{Spec: spec}
		p.APIVersion, p.Kind, p.Name = v1alpha1.APIVersion, v1alpha1.Kind, "fleet"
		return p
	}
	for name, tc := range map[string]struct {
		file string
		want *v1alpha1.UpgradePlan
	}{
		"string or list, number or string": {
			head + `spec:
  version: "1.10"
  instructions:
    rollingRules: {global: 1, fleet: 10%, roles: {compute: "3"}}
    roleOrder: {compute: controller}
    groupMappings: {mon: [st.*, mon]}
`,
			plan(v1alpha1.UpgradePlanSpec{Version: "1.10", Instructions: v1alpha1.Instructions{
				RollingRules: v1alpha1.RollingRules{Global: new(intstr.FromInt32(1)), Fleet: new(intstr.FromString("10%")),
					Roles: map[string]intstr.IntOrString{"compute": intstr.FromString("3")}},
				RoleOrder:     map[string]v1alpha1.StringList{"compute": {"controller"}},
				GroupMappings: map[string]v1alpha1.StringList{"mon": {"st.*", "mon"}},
			}}),
		},
		"date as version": {
			head + "spec: {version: 2026-01-01}", plan(v1alpha1.UpgradePlanSpec{Version: "2026-01-01"}),
		},
		"null is absent": {
			head + "spec: {version: v2, hosts: , instructions: {rollingRules: {global: null}}}",
			plan(v1alpha1.UpgradePlanSpec{Version: "v2"}),
		},
		"alias as value": {
			head + "spec: {version: &v v2, keys: {prefix: *v}}",
			plan(v1alpha1.UpgradePlanSpec{Version: "v2", Keys: v1alpha1.Keys{Prefix: "v2"}}),
		},
		"JSON indented by tabs": {
			"{\n\t\"apiVersion\": \"upgrade.jiocloud.com/v1alpha1\",\n\t\"kind\": \"UpgradePlan\",\n" +
				"\t\"metadata\": {\"name\": \"fleet\"},\n\t\"spec\": {\"version\": \"v2\", \"paused\": true}\n}\n",
			plan(v1alpha1.UpgradePlanSpec{Version: "v2", Paused: true}),
		},
		"status is dropped": {
			head + "spec: {version: v2}\nstatus: {phase: Complete, roles: [{name: a, total: 3}]," +
				" conditions: [{type: Ready, status: 'True', lastTransitionTime: 2026-01-01T00:00:00Z}]}",
			plan(v1alpha1.UpgradePlanSpec{Version: "v2"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			documents, err := manifest.Decode("plan.yaml", []byte(tc.file))
			if err != nil || len(documents) != 1 {
				t.Fatalf("got %d documents and the error %v", len(documents), err)
			}
			if diff := cmp.Diff(tc.want, documents[0].Plan); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDocument_Locate(t *testing.T) {
	second := strings.Replace(head, "fleet", "other", 1) + "spec:\n  version: a/b\n  hosts:\n    exclude:\n    - a\n"
	documents, err := manifest.Decode("two.yaml", []byte("# one\n"+head+"---\n# nothing\n---\n"+second))
	if err == nil && len(documents) != 2 {
		t.Fatalf("got %d documents", len(documents))
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range []int{2, 8} {
		if documents[i].Line != line {
			t.Errorf("document %d starts on line %d, want %d", i, documents[i].Line, line)
		}
	}
	spec := field.NewPath("spec")
	got := documents[1].Locate(field.ErrorList{
		field.Invalid(spec.Child("version"), "a/b", "is bad"),
		field.Invalid(spec.Child("hosts", "exclude").Index(0), "a", "is bad"),
		field.Required(spec.Child("keys", "prefix"), "is missing"),
	}).Error()
	want := `two.yaml:12: spec.version: Invalid value: "a/b": is bad
two.yaml:15: spec.hosts.exclude[0]: Invalid value: "a": is bad
two.yaml:11: spec.keys.prefix: Required value: is missing`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := documents[1].Locate(nil); err != nil {
		t.Error("got an error for an empty list:", err)
	}
}

func TestDecode_Limits(t *testing.T) {
	wide := head + "spec: {version: v2, hosts: {exclude: [" + strings.Repeat("stmon1,", 8000) + "]}}"
	for name, tc := range map[string]struct {
		file []byte
		want string
	}{
		"file":         {make([]byte, 1<<20+1), "big.yaml: is 1048577 bytes; at most 1048576 are allowed"},
		"spec":         {[]byte(wide), "big.yaml:4: spec: is 72038 bytes as JSON; at most 65536 are allowed"},
		"nested lists": {bytes.Repeat([]byte("["), 1<<20), "exceeded max depth"},
		"nested maps":  {bytes.Repeat([]byte("{a: "), 1<<17), "exceeded max depth"},
		"errors":       {[]byte(head + "spec: {" + strings.Repeat("a: , b: , ", 200) + "}"), "there are more errors"},
		"field name": {[]byte(head + "spec: {" + strings.Repeat("é", 100) + ": 1}"),
			"spec." + strings.Repeat("é", 64) + "…: unknown field. Allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			documents, err := manifest.Decode("big.yaml", tc.file)
			if err == nil || documents != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %d documents and the error %v", len(documents), err)
			}
			if err != nil && len(err.Error()) > 64<<10 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
	plan := &v1alpha1.UpgradePlan{}
	plan.Spec.Version = strings.Repeat("v", manifest.MaxSpecSize)
	if _, err := manifest.Encode(plan); err == nil {
		t.Error("Encode accepts a spec that is too large")
	}
}

func TestEncode_OmitsEmptyFields(t *testing.T) {
	plan := &v1alpha1.UpgradePlan{}
	plan.Name, plan.Spec.Version = "fleet", "1.10"
	got, err := manifest.Encode(plan)
	want := "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata:\n  name: fleet\n" +
		"spec:\n  version: \"1.10\"\n"
	if err != nil || string(got) != want {
		t.Errorf("got %v\n%s", err, got)
	}
}

func TestDecode_DecodesEncode(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[a-z0-9.:*~-]{1,8}`), rapid.SampledFrom([]string{
		"on", "yes", "~", "null", "1.10", "1e3", "0x1", "true", "=", " a ", "é\n#", "2026-01-01", "-", "1_0", "[a]"}))
	value := rapid.OneOf(text, rapid.Just("<<"))
	limit := rapid.OneOf(rapid.Map(rapid.Int32(), intstr.FromInt32), rapid.Map(value, intstr.FromString))
	lists := rapid.MapOfN(text, rapid.Map(rapid.SliceOfN(value, 1, 3), func(s []string) v1alpha1.StringList { return s }), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		plan := &v1alpha1.UpgradePlan{Spec: v1alpha1.UpgradePlanSpec{
			Version: value.Draw(t, "version"),
			Instructions: v1alpha1.Instructions{
				RollingRules: v1alpha1.RollingRules{
					Global: rapid.Ptr(limit, true).Draw(t, "global"),
					Fleet:  rapid.Ptr(limit, true).Draw(t, "fleet"),
					Roles:  rapid.MapOfN(text, limit, 0, 3).Draw(t, "roles"),
				},
				RoleOrder:     lists.Draw(t, "order"),
				GroupMappings: lists.Draw(t, "groups"),
			},
			Strategy:                v1alpha1.Strategy(text.Draw(t, "strategy")),
			ProgressDeadlineSeconds: rapid.Ptr(rapid.Int32(), true).Draw(t, "deadline"),
			MinReadySeconds:         rapid.Int32().Draw(t, "soak"),
			Hosts:                   v1alpha1.Hosts{RolePattern: text.Draw(t, "pattern"), Exclude: rapid.SliceOfN(text, 0, 3).Draw(t, "exclude")},
			Keys:                    v1alpha1.Keys{Prefix: text.Draw(t, "prefix")},
			Paused:                  rapid.Bool().Draw(t, "paused"),
			RevisionHistoryLimit:    rapid.Ptr(rapid.Int32(), true).Draw(t, "history"),
		}}
		plan.APIVersion, plan.Kind, plan.Name = v1alpha1.APIVersion, v1alpha1.Kind, text.Draw(t, "name")
		plan.Annotations = rapid.MapOfN(text, value, 0, 2).Draw(t, "annotations")
		data, err := manifest.Encode(plan)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := manifest.Decode("plan.yaml", data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if diff := cmp.Diff(plan, documents[0].Plan, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-written +read:\n%s\n%s", diff, data)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{head, "{}", "a: &a [*a]", "!!binary x: y", "? ", "%YAML 1.1\n---\n", "a: |\n  b", "<<: *a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		documents, err := manifest.Decode("fuzz", data)
		if (err == nil) == (len(documents) == 0) {
			t.Errorf("%d documents and the error %v", len(documents), err)
		}
	})
}

func ExampleDecode() {
	_, err := manifest.Decode("fleet.yaml", []byte(head+"spec:\n  versoin: v2\n"))
	fmt.Println(err)
	// Output:
	// fleet.yaml:5: spec.versoin: unknown field, did you mean version? Allowed: action, canary, failurePolicy, healthGate, hosts, instructions, keys, minReadySeconds, minUpgradeSeconds, paused, progressDeadlineSeconds, revisionHistoryLimit, strategy, version, windows
}
