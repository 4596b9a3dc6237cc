// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// namespace is the one in which Git signs.
const namespace = "git"

// signer is a line of a file of allowed signers.
type signer struct {
	who           string
	key           ssh.PublicKey
	namespaces    []string
	after, before time.Time
}

// readSigners reads a file as Git's gpg.ssh.allowedSignersFile; name is that of the file.
func readSigners(name string, data []byte) ([]signer, error) {
	var all []signer
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		line := strings.TrimSpace(string(raw))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s, err := readSigner(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: names nobody", name)
	}
	return all, nil
}

func readSigner(line string) (signer, error) {
	who, rest, _ := strings.Cut(line, " ")
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return signer{}, fmt.Errorf("must be names, options and a public key, as ssh-keygen(1) has them: %w", err)
	}
	s := signer{who: who, key: key}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			s.namespaces = strings.Split(value, ",")
		case "valid-after":
			s.after, err = readTime(value)
		case "valid-before":
			s.before, err = readTime(value)
		default:
			err = fmt.Errorf("option %q: must be namespaces, valid-after or valid-before", name)
		}
		if err != nil {
			return signer{}, err
		}
	}
	return s, nil
}

// readTime reads YYYYMMDD[HHMM[SS]][Z]. A time without a zone is in UTC.
func readTime(text string) (time.Time, error) {
	digits := strings.TrimSuffix(text, "Z")
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.Parse(layout, digits); err == nil && len(layout) == len(digits) {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q: must be YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in UTC", text)
}

// may says by an error why the key may not sign at a time, which is that of the commit or tag.
func (s signer) may(when time.Time) error {
	matches := func(pattern string) bool {
		ok, err := path.Match(pattern, namespace)
		return ok && err == nil
	}
	switch {
	case s.namespaces != nil && !slices.ContainsFunc(s.namespaces, matches):
		return fmt.Errorf("the SSH key of %s may not sign for %s", s.who, namespace)
	case !s.after.IsZero() && when.Before(s.after):
		return fmt.Errorf("the SSH key of %s may sign from %s on, and it was signed at %s", s.who, stamp(s.after), stamp(when))
	case !s.before.IsZero() && !when.Before(s.before):
		return fmt.Errorf("the SSH key of %s may sign before %s, and it was signed at %s", s.who, stamp(s.before), stamp(when))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
