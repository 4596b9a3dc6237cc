// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hack holds the tests of the repository itself: imports, links, prose, license headers, and the commands of the README.
//
// It must not test behavior of the product. Start reading at imports_test.go; CONTRIBUTING.md says what each check is for.
package hack
