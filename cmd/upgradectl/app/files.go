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
	"strings"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/manifest"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/names"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/strictyaml"
	"github.com/jiocloud/upgrade-controller/apis/upgrade/validation"
)

// stdin is the name of standard input where a file is asked for.
const stdin = "-"

// files are the flags that name manifests.
type files struct {
	names     []string
	recursive bool
}

func (f *files) bind(set *pflag.FlagSet) {
	set.StringArrayVarP(&f.names, "filename", "f", nil, "a file, a folder with *.yaml, *.yml and *.json, or - for standard "+
		"input; may be repeated")
	set.BoolVarP(&f.recursive, "recursive", "R", false, "also the folders below a folder")
}

// read decodes and validates all documents of all files. All that is wrong is told at once.
func (c *cli) read(f files) ([]manifest.Document, error) {
	if len(f.names) == 0 {
		return nil, flagError{errors.New("-f is required: a file, a folder, or - for standard input")}
	}
	paths, err := f.paths()
	if err != nil {
		return nil, usageError{err}
	}
	var documents []manifest.Document
	var problems []error
	for _, path := range paths {
		found, err := c.readOne(path)
		if err != nil {
			problems = append(problems, err)
		}
		documents = append(documents, found...)
	}
	if problems = append(problems, validation.Clashes(documents)...); len(problems) > 0 {
		return nil, usageError{errors.Join(problems...)}
	}
	for _, d := range documents {
		for _, text := range validation.Warnings(d.Plan) {
			c.warn(fmt.Sprintf("upgradeplan/%s: %s", d.Plan.Name, text))
		}
	}
	return documents, nil
}

func (c *cli) readOne(path string) ([]manifest.Document, error) {
	data, source, err := c.readFile(path)
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

// readFile reads a file, not much more of it than may be in one, and says what it is called in errors.
func (c *cli) readFile(path string) (data []byte, source string, err error) {
	return c.readUpTo(path, strictyaml.MaxSize)
}

// readUpTo reads a file of at most so many bytes, and says what it is called in errors.
func (c *cli) readUpTo(path string, most int) (data []byte, source string, err error) {
	in, source := c.In, "standard input"
	if path != stdin {
		file, err := os.Open(path)
		if err != nil {
			return nil, path, plainError(err)
		}
		defer func() { _ = file.Close() }()
		in, source = file, path
	}
	data, err = io.ReadAll(io.LimitReader(in, int64(most)+1))
	if err == nil && len(data) > most {
		err = fmt.Errorf("%s: is larger than the %d bytes that are read", source, most)
	}
	return data, source, plainError(err)
}

// plainError leaves out which system call failed.
func plainError(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// paths are the files that are meant, folders replaced by what is in them.
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
	if first, ok := twice(paths); ok {
		return nil, fmt.Errorf("%s is given twice", first)
	}
	return paths, nil
}

func twice(list []string) (string, bool) {
	for i, one := range list {
		if slices.Contains(list[:i], one) {
			return one, true
		}
	}
	return "", false
}

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
		err = fmt.Errorf("%s: holds no *.yaml, *.yml or *.json", folder)
	}
	return paths, err
}

// planNames are names of plans as people write them: fleet or upgradeplan/fleet.
func planNames(args []string) ([]string, error) {
	found := make([]string, len(args))
	for i, arg := range args {
		kind, name, both := strings.Cut(arg, "/")
		if !both {
			name = arg
		} else if !slices.Contains([]string{"plan", "plans", "up", "upgradeplan", "upgradeplans"}, kind) {
			return nil, usagef("%q: must be the name of a plan, or upgradeplan/ and that", arg)
		}
		if !names.Segment(name) {
			return nil, usagef("%q: the name of a plan %s", arg, names.SegmentRule)
		}
		found[i] = name
	}
	return found, nil
}
