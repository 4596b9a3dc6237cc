// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testtool skips tests whose tools or conditions are missing. With CI=true it fails them instead. `make test` lists what was
// skipped; hack/testsummary finds that by the words of Skip.
//
// Production code must not import it. Start reading at Need.
package testtool
