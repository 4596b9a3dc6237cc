// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import "golang.org/x/sys/unix"

// hasACL reports whether the file has a POSIX access list.
func hasACL(path string) bool {
	size, err := unix.Getxattr(path, "system.posix_acl_access", nil)
	return err == nil && size > 0
}
