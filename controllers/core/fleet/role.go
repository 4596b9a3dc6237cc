// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

// RoleOf returns the role in the name of a host, by the first match of ([a-z]+)(\d+)(-.*)? as in jorc's get_host_match:
// the letters before the first digit that follows a lower-case letter. Empty means no role.
func RoleOf(host string) string {
	start := 0
	for i := range len(host) {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z':
		case digit(c) && i > start:
			return host[start:i]
		default:
			start = i + 1
		}
	}
	return ""
}
