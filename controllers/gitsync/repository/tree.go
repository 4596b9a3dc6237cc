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
	// maxEntries limits the total entries of folders. The same folder counts each time that it occurs.
	maxEntries = 500_000
	// maxDepth limits the depth of nested folders.
	maxDepth = 64
)

// walker collects the manifests of a tree.
type walker struct {
	from    objects
	limits  Limits
	files   []File
	total   int64
	entries int
}

// walk returns the manifests below a folder of a commit. Symbolic links and submodules are errors, because skipping them silently would
// skip manifests.
func walk(ctx context.Context, from objects, root chain, folder string, limits Limits) ([]File, error) {
	w := &walker{from: from, limits: limits}
	hash := root.tree
	for at, name := range segments(folder) {
		tree, err := w.tree(ctx, hash)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(tree.Entries, func(e object.TreeEntry) bool { return e.Name == name })
		switch {
		case i < 0:
			return nil, fail(NoSuchPath, "path %q does not exist in the repository", folder)
		case tree.Entries[i].Mode != filemode.Dir:
			return nil, fail(NoSuchPath, "path %q: %s is not a folder", folder, path.Join(segments(folder)[:at+1]...))
		}
		hash = tree.Entries[i].Hash
	}
	if err := w.collect(ctx, hash, folder, maxDepth); err != nil {
		return nil, err
	}
	slices.SortFunc(w.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return w.files, nil
}

// readBinding returns the content of BindingFile in the root of a commit, or nil if there is none.
func readBinding(ctx context.Context, from objects, root chain, limits Limits) ([]byte, error) {
	w := &walker{from: from, limits: limits}
	tree, err := w.tree(ctx, root.tree)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(tree.Entries, func(e object.TreeEntry) bool { return e.Name == BindingFile })
	if i < 0 {
		return nil, nil
	}
	if mode := tree.Entries[i].Mode; mode != filemode.Regular && mode != filemode.Executable {
		return nil, fail(Refused, "%s must be a file", BindingFile)
	}
	if err := w.add(ctx, tree.Entries[i].Hash, BindingFile); err != nil {
		return nil, err
	}
	return w.files[0].Data, nil
}

func segments(folder string) []string {
	if folder == "" {
		return nil
	}
	return strings.Split(folder, "/")
}

func (w *walker) tree(ctx context.Context, hash plumbing.Hash) (*object.Tree, error) {
	kind, data, err := hashedObject(ctx, w.from, hash, w.limits.Object)
	if err != nil {
		return nil, objectError("folder", hash, err)
	}
	o, tree := &plumbing.MemoryObject{}, &object.Tree{}
	o.SetType(kind)
	_, _ = o.Write(data) // it returns no error
	if err := tree.Decode(o); err != nil {
		return nil, objectError("folder", hash, err)
	}
	if w.entries += len(tree.Entries); w.entries > maxEntries {
		return nil, fail(Refused, "the folders have more than %d entries", maxEntries)
	}
	return tree, nil
}

// collect adds the manifests of a folder and its subfolders. It skips names that start with a dot.
func (w *walker) collect(ctx context.Context, hash plumbing.Hash, folder string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if depth == 0 {
		return fail(Refused, "%s: folders are nested more than %d levels deep", folder, maxDepth)
	}
	tree, err := w.tree(ctx, hash)
	if err != nil {
		return err
	}
	for _, e := range tree.Entries {
		name := path.Join(folder, e.Name)
		switch {
		case strings.HasPrefix(e.Name, "."):
		case e.Mode == filemode.Symlink:
			return fail(Refused, "%s is a symbolic link, which is not supported; replace it with a copy of the file", name)
		case e.Mode == filemode.Submodule:
			return fail(Refused, "%s is a submodule, which is not supported; configure it as a separate source", name)
		case e.Mode == filemode.Dir:
			err = w.collect(ctx, e.Hash, name, depth-1)
		case slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(e.Name)):
			err = w.add(ctx, e.Hash, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) add(ctx context.Context, hash plumbing.Hash, name string) error {
	if len(w.files) == w.limits.Files {
		return fail(Refused, "there are more than %d manifests; set path to their folder", w.limits.Files)
	}
	kind, data, err := hashedObject(ctx, w.from, hash, w.limits.File)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound): // the filter of the fetch excludes larger files
		return fail(Refused, "%s is missing or larger than %d bytes", name, w.limits.File)
	case err != nil:
		return fail(Refused, "%s: %w", name, err)
	case kind != plumbing.BlobObject:
		return fail(Refused, "%s is a %s, not a file", name, kind)
	}
	if w.total += int64(len(data)); w.total > w.limits.Total {
		return fail(Refused, "all manifests together are larger than %d bytes; set path to their folder", w.limits.Total)
	}
	w.files = append(w.files, File{name, data})
	return nil
}
