// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config embeds the files below its folder that programs read: the CRD.
//
// The folders hold what operators install: ACL policies, units, samples, alerts. The package must not import anything of ours. Start
// reading at CRD.
package config
