// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command testsummary reads the output of `go test -json`, also of several calls, and writes what go test writes without -json. Its
// last line says which tests were skipped because something is missing: go test alone hides that.
//
// With CI=true it fails if a test was skipped in all of the calls. Start reading at main.
package main
