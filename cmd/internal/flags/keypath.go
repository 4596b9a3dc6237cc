// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package flags

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// CheckKeyPath checks the value of a flag such as --prefix, which is part of the path of keys. Empty is allowed.
func CheckKeyPath(flag, path string) error {
	if path != "" && !keys.ValidPath(path) {
		return fmt.Errorf("%s %q: must be names joined by single slashes, without one at its ends", flag, path)
	}
	return nil
}
