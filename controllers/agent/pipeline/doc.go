// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipeline runs the upgrade of a host as a sequence of steps: a hook, the facts and the package sources of the
// version, apt, Puppet, and validation scripts.
//
// A journal on disk holds the step that runs. After a crash the next run continues with that step and skips the ones before
// it. After a failure the next run starts with the first step.
//
// The package must not decide whether a host may change, and must not report. Start reading at Pipeline.Run; steps.go has the
// steps.
package pipeline
