// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command testsummary reads the output of `go test -json`, also of several calls, and writes what go test writes without -json. Its
// last line says which tests were skipped because something is missing: go test alone hides that.
//
// It must not change the result of the tests. Start reading at main.
package main
