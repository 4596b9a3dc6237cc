// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifest reads plans from YAML or JSON, strictly, and writes them. It neither defaults nor validates them.
package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
)

// MaxSpecSize bounds the spec of a plan as JSON, in bytes: the spec and the revision that it becomes are stored in one
// transaction, which has 256 KiB with all else that is in it.
const MaxSpecSize = 64 << 10

// ConvertHint is what to do with a file of python-jiocloud.
const ConvertHint = "`upgradectl convert` makes a plan of python-jiocloud's instructions"

// Document is one plan of a file.
type Document struct {
	Plan *v1alpha1.UpgradePlan
	// Source is the name of the file, and Line where the plan begins in it, from 1.
	Source string
	Line   int

	document *strictyaml.Document
}

// Locate gives the errors of a validation the lines of the fields that they are about; nil for an empty list.
func (d Document) Locate(list field.ErrorList) error { return d.document.Locate(list).Err() }

// Decode reads all plans of a file; source is its name in errors. The error is a strict.Errors with all that is wrong
// in the file; then there are no plans. A status is read as strictly as all else and left out: a manifest says what is
// wanted.
func Decode(source string, data []byte) ([]Document, error) {
	documents, problems := strictyaml.Read(source, data)
	plans := make([]Document, 0, len(documents))
	lines := map[string]int{}
	var found strictyaml.Errors
	for _, d := range documents {
		plan, errs := decode(d)
		if first, ok := lines[plan.Name]; ok && plan.Name != "" {
			errs = append(errs, problem(d, d.Line, "metadata.name", fmt.Sprintf(
				"a plan named %q stands already on line %d of this file", plan.Name, first)))
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

func decode(d *strictyaml.Document) (*v1alpha1.UpgradePlan, strictyaml.Errors) {
	plan := &v1alpha1.UpgradePlan{}
	if errs := identify(d); len(errs) > 0 {
		return plan, errs
	}
	errs := d.Decode(plan, hint)
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

// identify says what is wrong with apiVersion and kind. A document of another kind is not read further.
func identify(d *strictyaml.Document) strictyaml.Errors {
	if legacy := legacyNames(d); len(legacy) > 0 && !slices.Contains(d.Names(), "kind") {
		return strictyaml.Errors{problem(d, d.Line, "", fmt.Sprintf(
			"is not a plan but instructions of python-jiocloud (%s): %s", strings.Join(legacy, ", "), ConvertHint))}
	}
	return d.Identify(v1alpha1.APIVersion, v1alpha1.Kind)
}

func problem(d *strictyaml.Document, line int, path, detail string) *strictyaml.Error {
	return &strictyaml.Error{Source: d.Source, Line: line, Field: path, Detail: detail}
}

func legacyNames(d *strictyaml.Document) []string {
	return slices.DeleteFunc(d.Names(), func(name string) bool { return hint(name) == "" })
}

// hint knows the keys of python-jiocloud's instructions, with the dashes of the comment in its upgrade.py as well.
func hint(name string) string {
	switch strings.ReplaceAll(name, "-", "_") {
	case "rolling_rules", "role_order", "group_mappings":
		return ConvertHint
	case "role_dependencies":
		return "It is roleOrder here, and " + ConvertHint
	}
	return ""
}

// Encode writes a plan as YAML that Decode reads, always the same for the same plan. A plan whose spec is larger than
// MaxSpecSize is an error.
func Encode(plan *v1alpha1.UpgradePlan) ([]byte, error) {
	if size := specSize(plan); size > MaxSpecSize {
		return nil, fmt.Errorf("spec: %s", tooLarge(size))
	}
	plan = plan.DeepCopy()
	plan.APIVersion, plan.Kind = v1alpha1.APIVersion, v1alpha1.Kind
	return yaml.Marshal(plan)
}

func tooLarge(size int) string {
	return fmt.Sprintf("is %d bytes as JSON, more than %d: spec and revision are stored in one transaction", size, MaxSpecSize)
}

func specSize(plan *v1alpha1.UpgradePlan) int {
	data, err := json.Marshal(plan.Spec)
	if err != nil {
		panic(fmt.Sprintf("manifest: a spec cannot be encoded: %v", err)) // strings, numbers, maps and lists only
	}
	return len(data)
}
