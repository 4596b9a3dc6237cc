// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "fmt"

// Origin is the file in Git that a plan comes from. It is stored beside the spec: a commit that does not change a plan
// makes no revision of it, and undoes no order of an operator.
type Origin struct {
	// Source is the name of the source, Path the file in its repository, and Revision the commit that last changed the plan.
	Source   string `json:"source"`
	Path     string `json:"path"`
	Revision string `json:"revision"`
}

// String describes the origin. It is empty for a plan that does not come from Git.
func (o Origin) String() string {
	if o.Source == "" {
		return ""
	}
	return fmt.Sprintf("Git: source %s, %s at %s", o.Source, o.Path, o.Revision)
}
