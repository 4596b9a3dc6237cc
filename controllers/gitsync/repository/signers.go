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

// signatureNamespace is the namespace of Git's SSH signatures.
const signatureNamespace = "git"

// signer is a line of an allowed signers file.
type signer struct {
	who           string
	key           ssh.PublicKey
	namespaces    []string
	after, before time.Time
}

// parseSigners parses a file in the format of Git's gpg.ssh.allowedSignersFile. The name is used in errors.
func parseSigners(name string, data []byte) ([]signer, error) {
	var all []signer
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		line := strings.TrimSpace(string(raw))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s, err := parseSigner(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s contains no signer", name)
	}
	return all, nil
}

func parseSigner(line string) (signer, error) {
	who, rest, _ := strings.Cut(line, " ")
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return signer{}, fmt.Errorf("must be principals, options and a public key, see ALLOWED SIGNERS in ssh-keygen(1): %w", err)
	}
	s := signer{who: who, key: key}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			s.namespaces = strings.Split(value, ",")
		case "valid-after":
			s.after, err = parseTime(value)
		case "valid-before":
			s.before, err = parseTime(value)
		default:
			err = fmt.Errorf("unknown option %q; use namespaces, valid-after or valid-before", name)
		}
		if err != nil {
			return signer{}, err
		}
	}
	return s, nil
}

// parseTime parses YYYYMMDD[HHMM[SS]][Z]. All times are in UTC.
func parseTime(text string) (time.Time, error) {
	digits := strings.TrimSuffix(text, "Z")
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if t, err := time.Parse(layout, digits); err == nil && len(layout) == len(digits) {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid time %q; use YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS in UTC", text)
}

// check returns an error if the key may not sign for Git, was not valid at the time that the commit or tag states, or was not
// valid when the source first saw it. A signer can state any time.
func (s signer) check(stated, seen time.Time) error {
	matches := func(pattern string) bool {
		ok, err := path.Match(pattern, signatureNamespace)
		return ok && err == nil
	}
	if s.namespaces != nil && !slices.ContainsFunc(s.namespaces, matches) {
		return fmt.Errorf("the SSH key of %s may not sign for %s", s.who, signatureNamespace)
	}
	if err := s.validAt(stated, "the signature is from"); err != nil {
		return err
	}
	return s.validAt(seen, "this source first saw the signature at")
}

func (s signer) validAt(when time.Time, what string) error {
	switch {
	case !s.after.IsZero() && when.Before(s.after):
		return fmt.Errorf("the SSH key of %s is valid from %s, but %s %s", s.who, stamp(s.after), what, stamp(when))
	case !s.before.IsZero() && !when.Before(s.before):
		return fmt.Errorf("the SSH key of %s is valid until %s, but %s %s", s.who, stamp(s.before), what, stamp(when))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
