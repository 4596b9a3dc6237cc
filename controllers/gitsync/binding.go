// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"fmt"
	"slices"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

// binding is the content of repository.BindingFile. It says which sources the commits of a repository are for. Without it, a
// commit that the same key signed for another fleet would be as good.
type binding struct {
	Sources []boundSource `json:"sources"`
}

// boundSource names a source. Name and path must be those of the source; branch and url only if they are set.
type boundSource struct {
	Name   string `json:"name"`
	Path   string `json:"path,omitempty"`
	Branch string `json:"branch,omitempty"`
	URL    string `json:"url,omitempty"`
}

func (b boundSource) is(s Source) bool {
	return b.Name == s.Name && b.Path == s.Path && (b.Branch == "" || b.Branch == s.Ref.Branch) && (b.URL == "" || b.URL == s.URL)
}

// checkBinding returns an error if the file of a commit does not name the source. Nil data means that the commit has no such file.
func checkBinding(data []byte, s Source) error {
	lack := func(what string) error {
		return fmt.Errorf("%s %s; commit a signed file that has under sources: {name: %s, path: %q}",
			repository.BindingFile, what, s.Name, s.Path)
	}
	if data == nil {
		return lack("does not exist in the root of the repository")
	}
	documents, errs := strictyaml.Read(repository.BindingFile, data)
	if err := errs.Err(); err != nil {
		return err
	}
	if len(documents) != 1 {
		return lack("has more than one document")
	}
	var b binding
	if err := documents[0].Decode(&b, strictyaml.Options{}).Err(); err != nil {
		return err
	}
	if slices.ContainsFunc(b.Sources, func(bound boundSource) bool { return bound.is(s) }) {
		return nil
	}
	return lack("does not name this source")
}
