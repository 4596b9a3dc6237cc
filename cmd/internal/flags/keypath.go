// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package flags

import (
	"fmt"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
)

// CheckKeyPath checks the value of a flag such as --prefix, which is part of the path of keys. Empty is allowed.
func CheckKeyPath(flag, path string) error {
	if path != "" && !names.Path(path) {
		return fmt.Errorf("%s %q: %s", flag, path, names.PathRule)
	}
	return nil
}
