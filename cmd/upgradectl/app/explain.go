// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/config"
)

// schema is the schema of a field in the CRD.
type schema struct {
	Type        string             `json:"type"`
	Description string             `json:"description"`
	Properties  map[string]*schema `json:"properties"`
	// AdditionalProperties is the schema of the values of a map.
	AdditionalProperties *schema  `json:"additionalProperties"`
	Items                *schema  `json:"items"`
	Required             []string `json:"required"`
	Enum                 []any    `json:"enum"`
	Default              any      `json:"default"`
	Minimum              *float64 `json:"minimum"`
	Maximum              *float64 `json:"maximum"`
	Pattern              string   `json:"pattern"`
	IntOrString          bool     `json:"x-kubernetes-int-or-string"`
}

type explainOptions struct {
	*factory
	namesArg
	recursive bool
}

func newCmdExplain(f *factory, runF func(context.Context, *explainOptions) error) *cobra.Command {
	o := &explainOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "explain [FIELD]",
		Short: "Explain the fields of a plan",
		Long: "Prints the description of a field of a plan, its allowed values, and the fields below it. FIELD is a path:\n" +
			"spec.windows or upgradeplan.spec.windows. The command does not need Consul.",
		Example:           "  upgradectl explain\n  upgradectl explain spec.failurePolicy.maxFailed\n  upgradectl explain spec --recursive",
		Args:              cli.Args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: f.completeArgs(completeFields),
		RunE:              runE(f, o, runExplain, runF),
	}
	cmd.Flags().BoolVar(&o.recursive, "recursive", false, "list all fields below, without their descriptions")
	return cmd
}

func runExplain(_ context.Context, o *explainOptions) error {
	root, err := planSchema()
	if err != nil {
		return err
	}
	path := fieldPath(strings.Join(o.names, ""))
	field, err := root.find(path)
	if err != nil {
		return cli.Usage(err)
	}
	return cli.Buffered(o.Out, func(w io.Writer) error { return field.write(w, path, o.recursive) })
}

// fieldPath splits a path at its dots, and removes the kind at its beginning.
func fieldPath(text string) []string {
	path := strings.FieldsFunc(text, func(r rune) bool { return r == '.' })
	if len(path) > 0 && slices.Contains([]string{"upgradeplan", "upgradeplans", "up"}, strings.ToLower(path[0])) {
		path = path[1:]
	}
	return path
}

// planSchema reads the schema of plans from the CRD.
func planSchema() (*schema, error) {
	var crd struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema *schema }
			}
		}
	}
	if err := yaml.Unmarshal(config.UpgradePlanCRD, &crd); err != nil {
		return nil, err
	}
	for _, v := range crd.Spec.Versions {
		if v1alpha1.APIVersion == v1alpha1.Group+"/"+v.Name && v.Schema.OpenAPIV3Schema != nil {
			return v.Schema.OpenAPIV3Schema, nil
		}
	}
	return nil, errors.New("the CRD has no schema of " + v1alpha1.APIVersion)
}

// below returns the schema of the object, or of the elements of the list or map.
func (s *schema) below() *schema {
	switch {
	case s.Items != nil:
		return s.Items.below()
	case s.AdditionalProperties != nil:
		return s.AdditionalProperties.below()
	}
	return s
}

// find returns the field at a path.
func (s *schema) find(path []string) (*schema, error) {
	for i, name := range path {
		next, ok := s.below().Properties[name]
		if !ok {
			at := "a plan"
			if i > 0 {
				at = strings.Join(path[:i], ".")
			}
			has := slices.Sorted(maps.Keys(s.below().Properties))
			if len(has) == 0 {
				return nil, fmt.Errorf("field %q does not exist: %s has no fields", strings.Join(path, "."), at)
			}
			return nil, fmt.Errorf("field %q does not exist: %s has %s", strings.Join(path, "."), at, strings.Join(has, ", "))
		}
		s = next
	}
	return s, nil
}

// kind returns the readable type of the field.
func (s *schema) kind() string {
	switch {
	case s.IntOrString:
		return "IntOrString"
	case s.Items != nil:
		return "[]" + s.Items.kind()
	case s.AdditionalProperties != nil:
		return "map[string]" + s.AdditionalProperties.kind()
	case s.Type == "object":
		return "Object"
	}
	return s.Type
}

func (s *schema) write(w io.Writer, path []string, recursive bool) error {
	fmt.Fprintf(w, "KIND:     %s\nVERSION:  %s\n\n", v1alpha1.Kind, v1alpha1.APIVersion)
	if len(path) > 0 {
		fmt.Fprintf(w, "FIELD: %s <%s>\n\n", strings.Join(path, "."), s.kind())
	}
	fmt.Fprintf(w, "DESCRIPTION:\n%s", indented(s.Description, "    "))
	for _, fact := range s.facts() {
		fmt.Fprintf(w, "    %s\n", fact)
	}
	fields := s.below()
	if len(fields.Properties) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nFIELDS:\n")
	fields.writeFields(w, "  ", recursive)
	return nil
}

// facts returns the constraints of the field, one on each line.
func (s *schema) facts() []string {
	var facts []string
	if len(s.Enum) > 0 {
		var words []string
		for _, one := range s.Enum {
			words = append(words, fmt.Sprint(one))
		}
		facts = append(facts, "One of: "+strings.Join(words, ", "))
	}
	if s.Default != nil {
		facts = append(facts, fmt.Sprintf("Default: %v", s.Default))
	}
	if s.Minimum != nil {
		facts = append(facts, fmt.Sprintf("At least: %v", *s.Minimum))
	}
	if s.Maximum != nil {
		facts = append(facts, fmt.Sprintf("At most: %v", *s.Maximum))
	}
	if s.Pattern != "" {
		facts = append(facts, "Pattern: "+s.Pattern)
	}
	return facts
}

func (s *schema) writeFields(w io.Writer, indent string, recursive bool) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field := s.Properties[name]
		required := ""
		if slices.Contains(s.Required, name) {
			required = " -required-"
		}
		fmt.Fprintf(w, "%s%s\t<%s>%s\n", indent, name, field.kind(), required)
		if recursive {
			field.below().writeFields(w, indent+"  ", recursive)
			continue
		}
		fmt.Fprintf(w, "%s\n", indented(field.Description, indent+"  "))
	}
}

// indented adds a prefix to each line of a text.
func indented(text, by string) string {
	if text == "" {
		return by + "<none>\n"
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			line = by + line
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}
