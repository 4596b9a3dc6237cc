// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "embed"

//go:embed consul/*.hcl
var policies embed.FS

// Policy returns the ACL policy of config/consul/NAME.hcl: viewer, operator, controller or agent. It is empty for other names. HOST
// and NODE in it stand for names.
func Policy(name string) string {
	data, err := policies.ReadFile("consul/" + name + ".hcl")
	if err != nil {
		return ""
	}
	return string(data)
}
