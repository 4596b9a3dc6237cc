// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package backoff owns the pauses between attempts: a sleep that ends with its context, and delays that double.
//
// It must not decide what is tried again: see store.RetryOnConflict for that. Start reading at Sleep and New.
package backoff
