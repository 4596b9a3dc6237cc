// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

// stdin is the name of a file that means standard input.
const stdin = "-"

// files holds the flags that name manifests.
type files struct {
	names     []string
	recursive bool
}

func (f *files) bind(set *pflag.FlagSet) {
	set.StringArrayVarP(&f.names, "filename", "f", nil, "file, folder with *.yaml, *.yml and *.json files, or - for standard "+
		"input; can be repeated")
	set.BoolVarP(&f.recursive, "recursive", "R", false, "include the folders below a folder")
}

// readManifests decodes and validates all documents of all files. The error lists all problems.
func readManifests(f *factory, from files) ([]manifest.Document, error) {
	if len(from.names) == 0 {
		return nil, cli.FlagErrorf("-f is required: a file, a folder, or - for standard input")
	}
	paths, err := from.paths()
	if err != nil {
		return nil, cli.Usage(err)
	}
	var documents []manifest.Document
	var problems []error
	for _, path := range paths {
		found, err := readManifest(f, path)
		if err != nil {
			problems = append(problems, err)
		}
		documents = append(documents, found...)
	}
	if problems = append(problems, validation.Clashes(documents)...); len(problems) > 0 {
		return nil, cli.Usage(errors.Join(problems...))
	}
	for _, d := range documents {
		for _, text := range validation.Warnings(d.Plan) {
			f.warn("upgradeplan/%s: %s", d.Plan.Name, text)
		}
	}
	return documents, nil
}

// readOnePlan reads the only plan of the files.
func readOnePlan(f *factory, from files, command string) (*v1alpha1.UpgradePlan, error) {
	documents, err := readManifests(f, from)
	switch {
	case err != nil:
		return nil, err
	case len(documents) > 1:
		return nil, cli.Usagef("-f holds %d plans: %s takes one at a time", len(documents), command)
	}
	return documents[0].Plan, nil
}

// readManifest decodes and validates the documents of one file.
func readManifest(f *factory, path string) ([]manifest.Document, error) {
	data, source, err := readFile(f, path, strictyaml.MaxSize)
	if err != nil {
		return nil, err
	}
	documents, err := manifest.Decode(source, data)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, d := range documents {
		problems = append(problems, d.Locate(validation.ValidateUpgradePlan(d.Plan)))
	}
	return documents, errors.Join(problems...)
}

// readFile reads a file of at most limit bytes, or standard input. The source is the name of the file in errors.
func readFile(f *factory, path string, limit int) (data []byte, source string, err error) {
	in, source := f.In, "standard input"
	if path != stdin {
		file, err := os.Open(path)
		if err != nil {
			return nil, path, plainError(err)
		}
		defer func() { _ = file.Close() }()
		in, source = file, path
	}
	data, err = io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("%s: must be at most %d bytes", source, limit)
	}
	return data, source, plainError(err)
}

// plainError removes the name of the system call from an error.
func plainError(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// paths returns the files, with folders replaced by the files in them.
func (f files) paths() ([]string, error) {
	var paths []string
	for _, name := range f.names {
		info, err := os.Stat(name)
		switch {
		case name == stdin:
			paths = append(paths, name)
		case err != nil:
			return nil, plainError(err)
		case info.IsDir():
			found, err := f.below(name)
			if err != nil {
				return nil, err
			}
			paths = append(paths, found...)
		default:
			paths = append(paths, name)
		}
	}
	if first, ok := duplicate(paths); ok {
		return nil, fmt.Errorf("%s is given twice", first)
	}
	return paths, nil
}

// duplicate returns the first string that occurs again.
func duplicate(list []string) (string, bool) {
	for i, one := range list {
		if slices.Contains(list[:i], one) {
			return one, true
		}
	}
	return "", false
}

// below returns the manifests in a folder.
func (f files) below(folder string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return plainError(err)
		case entry.IsDir() && path != folder && !f.recursive:
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			paths = append(paths, path)
		}
		return nil
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s: contains no *.yaml, *.yml or *.json file", folder)
	}
	return paths, err
}
