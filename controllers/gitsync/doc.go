// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gitsync applies the plans of Git repositories to a store.
//
// Syncing is level-based: each sync reads the whole state of the repository at one commit and applies all of its plans, or
// none of them if any is invalid. The next sync therefore completes one that was interrupted, and corrects plans that were
// changed by hand. Operators' orders (pause, abort, rollback, holds) are not part of a plan's spec, so no sync changes them.
//
// The package owns the sources' configuration (Source), their status and sync requests in the store, and the webhooks that
// create such requests. It must not plan rollouts: it stores plans through the Plans interface. Package repository fetches
// from Git; package gittest serves repositories to tests.
//
// Start reading at Runner.Run, then follower.sync and apply.
package gitsync
