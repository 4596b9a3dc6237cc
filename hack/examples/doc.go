// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package examples checks the files of config/examples with the types and schemas of Kubernetes, Docker Compose and Nomad. That
// their commands work is tested in cmd/internal/deployment.
//
// It must not use code of the product. Start reading at the tests.
package examples
