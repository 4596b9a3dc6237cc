// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package trust

// hasACL reports false: access lists of other systems do not show in the mode.
func hasACL(string) bool { return false }
