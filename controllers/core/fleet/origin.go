// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "fmt"

// Origin says which file of Git a plan comes from. It is kept beside the spec and not in it: a commit that leaves a plan as
// it is makes no revision of it, and undoes no order to stop.
type Origin struct {
	// Source is the name of the source, Path the file in its repository, and Revision the one that made the plan what it is.
	Source   string `json:"source"`
	Path     string `json:"path"`
	Revision string `json:"revision"`
}

// String is for people; empty: the plan comes from nowhere.
func (o Origin) String() string {
	if o.Source == "" {
		return ""
	}
	return fmt.Sprintf("Git: source %s, %s at %s", o.Source, o.Path, o.Revision)
}
