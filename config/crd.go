// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import _ "embed"

// UpgradePlanCRD is the CustomResourceDefinition of plans, as YAML: their fields, with what each means.
//
//go:embed crd/upgrade.jiocloud.com_upgradeplans.yaml
var UpgradePlanCRD []byte
