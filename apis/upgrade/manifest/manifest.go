// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// MaxSpecSize limits the spec of a plan as JSON, in bytes. The spec and its revision are stored in one transaction, which is
// limited to 256 KiB in total.
const MaxSpecSize = 64 << 10

// ConvertHint says what to do with a file of python-jiocloud.
const ConvertHint = "`upgradectl convert` converts instructions of python-jiocloud to a plan"

// Document is a plan in a file.
type Document struct {
	Plan *v1alpha1.UpgradePlan
	// Source is the name of the file.
	Source string
	// Line is the first line of the plan. Lines count from 1.
	Line int

	document *strictyaml.Document
}

// Locate adds the lines of their fields to the errors of a validation. It returns nil for an empty list.
func (d Document) Locate(list field.ErrorList) error { return d.document.Locate(list).Err() }

// Decode decodes all plans of a file, or returns a strictyaml.Errors with all errors of the file. Source is the name of the
// file in errors. Decode checks a status and then drops it, because a manifest describes the desired state.
func Decode(source string, data []byte) ([]Document, error) {
	documents, problems := strictyaml.Read(source, data)
	plans := make([]Document, 0, len(documents))
	lines := map[string]int{}
	var found strictyaml.Errors
	for _, d := range documents {
		plan, errs := decode(d)
		if first, ok := lines[plan.Name]; ok && plan.Name != "" {
			errs = append(errs, problem(d, d.Line, "metadata.name", fmt.Sprintf(
				"duplicate plan %q; it is also on line %d of this file", plan.Name, first)))
		}
		lines[plan.Name] = d.Line
		found = append(found, errs...)
		plans = append(plans, Document{Plan: plan, Source: source, Line: d.Line, document: d})
	}
	if found = append(found, problems...); len(found) > 0 {
		return nil, found
	}
	return plans, nil
}

// options tell how manifests spell the types of the API that decode themselves.
func options() strictyaml.Options {
	return strictyaml.Options{
		Hint: hint,
		Values: map[reflect.Type]strictyaml.Value{
			reflect.TypeFor[intstr.IntOrString]():  strictyaml.Limit,
			reflect.TypeFor[v1alpha1.StringList](): strictyaml.TextOrList,
			reflect.TypeFor[metav1.Time]():         strictyaml.Time,
			reflect.TypeFor[metav1.FieldsV1]():     strictyaml.Ignored, // a manifest cannot set who owns a field
		},
		Limits: map[string]string{"spec.hosts.legacy": "Allow, Deny or a number of hosts (3)"},
	}
}

func decode(d *strictyaml.Document) (*v1alpha1.UpgradePlan, strictyaml.Errors) {
	plan := &v1alpha1.UpgradePlan{}
	if errs := identify(d); len(errs) > 0 {
		return plan, errs
	}
	errs := d.Decode(plan, options())
	plan.Status = v1alpha1.UpgradePlanStatus{}
	if len(errs) > 0 {
		return plan, errs
	}
	if plan.Name == "" {
		errs = append(errs, problem(d, d.LineOf("metadata.name"), "metadata.name", "is required"))
	}
	if size := specSize(plan); size > MaxSpecSize {
		errs = append(errs, problem(d, d.LineOf("spec"), "spec", tooLarge(size)))
	}
	return plan, errs
}

// identify checks apiVersion and kind. Documents of another kind are not decoded.
func identify(d *strictyaml.Document) strictyaml.Errors {
	if legacy := legacyNames(d); len(legacy) > 0 && !slices.Contains(d.Names(), "kind") {
		return strictyaml.Errors{problem(d, d.Line, "", fmt.Sprintf(
			"contains instructions of python-jiocloud (%s), not a plan; %s", strings.Join(legacy, ", "), ConvertHint))}
	}
	return d.Identify(v1alpha1.APIVersion, v1alpha1.Kind)
}

func problem(d *strictyaml.Document, line int, path, detail string) *strictyaml.Error {
	return &strictyaml.Error{Source: d.Source, Line: line, Field: path, Detail: detail}
}

func legacyNames(d *strictyaml.Document) []string {
	return slices.DeleteFunc(d.Names(), func(name string) bool { return hint(name) == "" })
}

// hint recognizes the keys of python-jiocloud's instructions. A comment in its upgrade.py writes them with dashes.
func hint(name string) string {
	switch strings.ReplaceAll(name, "-", "_") {
	case "rolling_rules", "role_order", "group_mappings":
		return ConvertHint
	case "role_dependencies":
		return "The field is roleOrder in a plan; " + ConvertHint
	}
	return ""
}

// Encode encodes a plan as YAML, always in the same way. It returns an error if the spec is larger than MaxSpecSize.
func Encode(plan *v1alpha1.UpgradePlan) ([]byte, error) {
	if size := specSize(plan); size > MaxSpecSize {
		return nil, fmt.Errorf("spec: %s", tooLarge(size))
	}
	plan = plan.DeepCopy()
	plan.APIVersion, plan.Kind = v1alpha1.APIVersion, v1alpha1.Kind
	return yaml.Marshal(plan)
}

func tooLarge(size int) string {
	return fmt.Sprintf("is %d bytes as JSON; at most %d are allowed", size, MaxSpecSize)
}

func specSize(plan *v1alpha1.UpgradePlan) int {
	data, err := json.Marshal(plan.Spec)
	if err != nil {
		panic(fmt.Sprintf("manifest: cannot encode a spec: %v", err)) // it has only strings, numbers, maps and lists
	}
	return len(data)
}
