// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"fmt"
	"slices"
	"strings"

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

// differences lists the fields that are not those of a source, with both values.
func (b boundSource) differences(s Source) []string {
	var all []string
	for _, f := range []struct {
		name, bound, of, own string
		optional             bool
	}{
		{"name", b.Name, "name", s.Name, false}, {"path", b.Path, "path", s.Path, false},
		{"branch", b.Branch, "ref.branch", s.Ref.Branch, true}, {"url", b.URL, "url", s.URL, true},
	} {
		if f.bound != f.own && !(f.optional && f.bound == "") {
			all = append(all, fmt.Sprintf("%s is %q, but the %s of this source is %q", f.name, f.bound, f.of, f.own))
		}
	}
	return all
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
	if len(b.Sources) == 0 {
		return lack("has no sources")
	}
	if i, differ := b.nearest(s); len(differ) > 0 {
		at := fmt.Sprintf("sources[%d].", i)
		return lack("does not name this source: " + at + strings.Join(differ, ", and "+at))
	}
	return nil
}

// nearest returns the bound source with the fewest differences from a source, and these. One with the same name comes first.
func (b binding) nearest(s Source) (at int, differ []string) {
	rank := func(i int, d []string) [2]int {
		if len(d) > 0 && b.Sources[i].Name != s.Name {
			return [2]int{1, len(d)}
		}
		return [2]int{0, len(d)}
	}
	for i, bound := range b.Sources {
		d := bound.differences(s)
		if first, now := rank(at, differ), rank(i, d); i == 0 || slices.Compare(now[:], first[:]) < 0 {
			at, differ = i, d
		}
	}
	return at, differ
}
