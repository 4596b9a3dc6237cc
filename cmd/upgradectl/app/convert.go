// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/legacy"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	shared "github.com/jiocloud/upgrade-controller/cmd/internal/flags"
)

func (c *cli) convert() *cobra.Command {
	var name, version string
	to := &choice{"plan", []string{"plan", "legacy"}}
	cmd := &cobra.Command{
		Use:   "convert FILE|-|JSON",
		Short: "Make a plan of python-jiocloud's instructions, or instructions of a plan",
		Example: "  upgradectl convert /etc/jio-upgrade.json --version 2.1 > plan.yaml\n" +
			"  upgradectl convert '{\"rolling_rules\": {\"global\": 1}}' --version 2.1 | upgradectl diff -f -\n" +
			"  upgradectl convert plan.yaml --to legacy",
		Args: args(cobra.ExactArgs(1)),
	}
	cmd.ValidArgsFunction = shared.AnyFile
	cmd.Flags().StringVar(&name, "name", defaultPlan, "name of the plan")
	cmd.Flags().StringVar(&version, "version", "", "version of the plan (required for a plan)")
	cmd.Flags().Var(to, "to", "plan or legacy")
	cmd.RunE = c.run(func(_ context.Context, args []string) error {
		if to.value == "legacy" {
			return c.convertToLegacy(args[0])
		}
		if version == "" {
			return flagError{errNoVersion}
		}
		in, err := c.instructions(args[0])
		if err != nil {
			return err
		}
		plan := &v1alpha1.UpgradePlan{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: v1alpha1.UpgradePlanSpec{Version: version, Instructions: in}}
		if errs := validation.ValidateUpgradePlan(plan); len(errs) > 0 {
			return usageError{fieldErrors(errs)}
		}
		for _, text := range validation.Warnings(plan) {
			c.warn(text)
		}
		data, err := manifest.Encode(plan)
		if err != nil {
			return usageError{err}
		}
		_, err = c.Out.Write(data)
		return err
	})
	return cmd
}

// instructions reads python-jiocloud's from a file, from standard input, or from the argument itself.
func (c *cli) instructions(arg string) (v1alpha1.Instructions, error) {
	data, source := []byte(arg), "instructions"
	if !strings.HasPrefix(strings.TrimSpace(arg), "{") {
		var err error
		if data, source, err = c.readFile(arg); err != nil {
			return v1alpha1.Instructions{}, usageError{err}
		}
	}
	in, err := legacy.Parse(source, data)
	if err != nil {
		return in, usageError{err}
	}
	return in, nil
}

func (c *cli) convertToLegacy(path string) error {
	documents, err := c.readOne(path)
	switch {
	case err != nil:
		return usageError{err}
	case len(documents) > 1:
		return usagef("%s holds %d plans: instructions are of one", path, len(documents))
	}
	data, err := legacy.Format(documents[0].Plan.Spec.Instructions)
	if err != nil {
		return usageError{err}
	}
	_, err = c.Out.Write(data)
	return err
}
