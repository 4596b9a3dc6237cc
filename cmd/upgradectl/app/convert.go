// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/legacy"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
)

// The values of convert --to.
const (
	toPlan   = "plan"
	toLegacy = "legacy"
)

type convertOptions struct {
	*factory
	to            *cli.Choice
	input         string
	name, version string
}

func newCmdConvert(f *factory, runF func(context.Context, *convertOptions) error) *cobra.Command {
	o := &convertOptions{factory: f, to: cli.NewChoice(toPlan, toLegacy)}
	cmd := &cobra.Command{
		Use:   "convert FILE|-|JSON",
		Short: "Convert python-jiocloud's instructions to a plan, or a plan to instructions",
		Example: "  upgradectl convert /etc/jio-upgrade.json --version 2.1 > plan.yaml\n" +
			"  upgradectl convert '{\"rolling_rules\": {\"global\": 1}}' --version 2.1 | upgradectl diff -f -\n" +
			"  upgradectl convert plan.yaml --to legacy",
		Args:              cli.Args(cobra.ExactArgs(1)),
		ValidArgsFunction: flags.AnyFile,
		RunE:              runE(f, o, runConvert, runF),
	}
	cmd.Flags().StringVar(&o.name, "name", legacy.DefaultPlan, "name of the plan")
	cmd.Flags().StringVar(&o.version, "version", "", "version of the plan (required for a plan)")
	cmd.Flags().Var(o.to, "to", "plan or legacy")
	return cmd
}

func (o *convertOptions) complete(args []string) error {
	o.input = args[0]
	if o.to.Value == toPlan && o.version == "" {
		return cli.FlagErrorf("--version is required: the version that all hosts must reach")
	}
	return nil
}

func runConvert(_ context.Context, o *convertOptions) error {
	convert := convertToPlan
	if o.to.Value == toLegacy {
		convert = convertToLegacy
	}
	data, err := convert(o)
	if err != nil {
		return cli.Usage(err)
	}
	_, err = o.Out.Write(data)
	return err
}

func convertToPlan(o *convertOptions) ([]byte, error) {
	in, err := parseInstructions(o.factory, o.input)
	if err != nil {
		return nil, err
	}
	plan := legacy.NewPlan(o.version, in)
	plan.Name = o.name
	var problems []error
	for _, err := range validation.ValidateUpgradePlan(plan) {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	for _, text := range validation.Warnings(plan) {
		o.warn("%s", text)
	}
	return manifest.Encode(plan)
}

func convertToLegacy(o *convertOptions) ([]byte, error) {
	documents, err := readManifest(o.factory, o.input)
	switch {
	case err != nil:
		return nil, err
	case len(documents) > 1:
		return nil, cli.Usagef("%s holds %d plans: convert takes one at a time", o.input, len(documents))
	}
	return legacy.Format(documents[0].Plan.Spec.Instructions)
}

// parseInstructions reads python-jiocloud's instructions from a file, from standard input, or from JSON in the argument.
func parseInstructions(f *factory, arg string) (v1alpha1.Instructions, error) {
	data, source := []byte(arg), "instructions"
	if !isJSON(arg) {
		var err error
		if data, source, err = readFile(f, arg, strictyaml.MaxSize); err != nil {
			return v1alpha1.Instructions{}, cli.Usage(err)
		}
	}
	in, err := legacy.Parse(source, data)
	if err != nil {
		return in, cli.Usage(err)
	}
	return in, nil
}

// isJSON reports whether an argument is a JSON object, and not the name of a file.
func isJSON(arg string) bool { return strings.HasPrefix(strings.TrimSpace(arg), "{") }
