// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package deployment runs the three binaries as a fleet does: with the ACL policies, certificates and units of config/.
//
// It holds tests only. They must use the files of config/ as they are, and the tables of docs/reference/permissions.md. Start
// reading at deployment_test.go.
package deployment
