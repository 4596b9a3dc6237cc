// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
)

func TestSamples_AreValid(t *testing.T) {
	files, err := filepath.Glob("../../../config/samples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	of, err := filepath.Glob("../../../config/samples/gitops/plans/*.yaml")
	if err != nil || len(of) == 0 {
		t.Fatal("no GitOps samples", err)
	}
	files = append(files, of...)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents, err := manifest.Decode(filepath.Base(file), data)
		if err != nil {
			t.Error(err)
		}
		for _, d := range documents {
			v1alpha1.SetDefaults(d.Plan)
			if err := d.Locate(validation.ValidateUpgradePlan(d.Plan)); err != nil {
				t.Error(err)
			}
			if warnings := validation.Warnings(d.Plan); len(warnings) > 0 {
				t.Error(file, warnings)
			}
		}
	}
}
