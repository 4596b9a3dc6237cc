// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

// RoleOf is the role in a host's name by the rule ([a-z]+)(\d+)(-.*)?, first match anywhere, as jorc has it
// (get_host_match): the letters before the first digit that follows a lower-case letter. Empty: no role.
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
