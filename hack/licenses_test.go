// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// allowedLicenses are the licenses under which modules in our programs may be, each with words that only its text has. The order
// matters: a text is of the first license whose words it has.
var allowedLicenses = []struct{ name, words string }{
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"},
	{"BSD", "redistribution and use in source and binary forms, with or without modification, are permitted"},
}

// forbiddenWords are of licenses that other texts quote, or that have words of an allowed one.
var forbiddenWords = []string{"business source license", "gnu general public license version", "gnu affero general public license version",
	"gnu lesser general public license version", "server side public license", "commons clause", "elastic license"}

var spaces = regexp.MustCompile(`\s+`)

// licenseOf returns the name of the license of a text. Empty means one that is not allowed.
func licenseOf(text string) string {
	text = spaces.ReplaceAllString(strings.ToLower(text), " ")
	if slices.ContainsFunc(forbiddenWords, func(words string) bool { return strings.Contains(text, words) }) {
		return ""
	}
	for _, l := range allowedLicenses {
		if strings.Contains(text, l.words) {
			return l.name
		}
	}
	return ""
}

// moduleLicenses returns the licenses of a module by the names of their files.
func moduleLicenses(dir string) (map[string]string, error) {
	found := map[string]string{}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "LICENSE") && !strings.HasPrefix(name, "LICENCE") && !strings.HasPrefix(name, "COPYING") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		found[e.Name()] = licenseOf(string(text))
	}
	return found, err
}

// TestModules_HaveAllowedLicenses reads the licenses of all modules that are built into our programs.
func TestModules_HaveAllowedLicenses(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}", "./cmd/...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := slices.Sorted(slices.Values(strings.Split(strings.TrimSpace(string(out)), "\n")))
	counts := map[string]int{}
	for _, line := range slices.Compact(modules) {
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			continue // packages of the standard library
		}
		found, err := moduleLicenses(fields[2])
		if err != nil || len(found) == 0 {
			t.Errorf("%s %s has no license: %v", fields[0], fields[1], err)
		}
		for file, name := range found {
			if name == "" {
				t.Errorf("%s %s: %s is not an allowed license: see allowedLicenses", fields[0], fields[1], file)
			}
			counts[name]++
		}
	}
	if counts["Apache-2.0"] < 10 || counts["MIT"] < 5 {
		t.Errorf("licenses: %v", counts)
	}
	t.Log(fmt.Sprint("licenses: ", counts))
}

func TestLicenseOf(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n    Version 2.0, January 2004":                                                                              "Apache-2.0",
		"MIT\n\nPermission is hereby granted, free\nof charge, to any person obtaining a copy of this software":                      "MIT",
		"Redistribution and use in source and binary forms, with or without\n// modification, are permitted provided":                "",
		"Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that":              "BSD",
		"Mozilla Public License, version 2.0\n\n1. Definitions":                                                                      "MPL-2.0",
		"Permission to use, copy, modify, and distribute this software for any purpose\nwith or without fee is hereby granted, that": "ISC",
		"Business Source License 1.1\n ... Apache License Version 2.0, January 2004":                                                 "",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007":                                                                        "",
		"GNU Affero General Public License version 3":                                                                                "",
		"All rights reserved.": "",
	} {
		if got := licenseOf(text); got != want {
			t.Errorf("%q is called %q, want %q", text, got, want)
		}
	}
}
