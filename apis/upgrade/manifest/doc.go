// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manifest decodes plans from YAML or JSON, and encodes them.
//
// It owns the file format: several plans in one file, the size limit, and hints for files of python-jiocloud. It must not
// set defaults or validate plans: v1alpha1.SetDefaults and package validation do. Start reading at Decode.
package manifest
