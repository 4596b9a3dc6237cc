// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	// maxEntries bounds how many entries of folders are looked at: folders may stand in each other many times.
	maxEntries = 500_000
	maxDepth   = 64
)

// walker collects the manifests of a tree.
type walker struct {
	context.Context //nolint:containedctx // it is that of one walk
	from            objects
	limits          Limits
	files           []File
	total           int64
	entries         int
}

// walk returns the manifests below the path. A link, and another repository, among them are errors: they would stand for
// files that are not read.
func walk(ctx context.Context, from objects, root plumbing.Hash, folder string, limits Limits) ([]File, error) {
	w := &walker{Context: ctx, from: from, limits: limits}
	hash := root
	for at, name := range segments(folder) {
		tree, err := w.tree(hash)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(tree.Entries, func(e object.TreeEntry) bool { return e.Name == name })
		switch {
		case i < 0:
			return nil, fail(NoSuchPath, "path %q: does not exist in the repository", folder)
		case tree.Entries[i].Mode != filemode.Dir:
			return nil, fail(NoSuchPath, "path %q: %s is no folder", folder, path.Join(segments(folder)[:at+1]...))
		}
		hash = tree.Entries[i].Hash
	}
	if err := w.below(hash, folder, maxDepth); err != nil {
		return nil, err
	}
	slices.SortFunc(w.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return w.files, nil
}

func segments(folder string) []string {
	if folder == "" {
		return nil
	}
	return strings.Split(folder, "/")
}

func (w *walker) tree(hash plumbing.Hash) (*object.Tree, error) {
	o, err := w.from.object(hash)
	if err != nil {
		return nil, problem("folder", hash, err)
	}
	tree := &object.Tree{}
	if err := tree.Decode(o); err != nil {
		return nil, problem("folder", hash, err)
	}
	if w.entries += len(tree.Entries); w.entries > maxEntries {
		return nil, fail(Refused, "the folders have more than %d entries", maxEntries)
	}
	return tree, nil
}

// below collects what is in a folder. What begins with a dot is left out.
func (w *walker) below(hash plumbing.Hash, folder string, depth int) error {
	if err := w.Err(); err != nil {
		return err
	}
	if depth == 0 {
		return fail(Refused, "%s: is more than %d folders deep", folder, maxDepth)
	}
	tree, err := w.tree(hash)
	if err != nil {
		return err
	}
	for _, e := range tree.Entries {
		name := path.Join(folder, e.Name)
		switch {
		case strings.HasPrefix(e.Name, "."):
		case e.Mode == filemode.Symlink:
			return fail(Refused, "%s: is a symbolic link, which is not followed: put the file itself there", name)
		case e.Mode == filemode.Submodule:
			return fail(Refused, "%s: is a submodule, which is not fetched: make it a source of its own", name)
		case e.Mode == filemode.Dir:
			err = w.below(e.Hash, name, depth-1)
		case slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(e.Name)):
			err = w.add(e.Hash, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) add(hash plumbing.Hash, name string) error {
	if len(w.files) == w.limits.Files {
		return fail(Refused, "there are more than %d manifests: let path name their folder", w.limits.Files)
	}
	o, err := w.from.object(hash)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound): // the server was asked to leave out what is larger
		return fail(Refused, "%s: is not there, or larger than the %d bytes that are read", name, w.limits.File)
	case err != nil:
		return err
	}
	data, err := content(o, w.limits.File)
	if err != nil {
		return fail(Refused, "%s: %w", name, err)
	}
	if w.total += int64(len(data)); w.total > w.limits.Total {
		return fail(Refused, "the manifests are more than the %d bytes in all that are read: let path name their folder", w.limits.Total)
	}
	w.files = append(w.files, File{name, data})
	return nil
}
