// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package atomicfile writes small files so that a crash or a power failure leaves the old content or the new one, never a
// mix of both.
//
// It owns the file handling only, and must not know what the files hold. Start reading at Write; State keeps one value as JSON.
package atomicfile
