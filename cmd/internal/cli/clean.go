// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Streams returns the output streams of a program, with a CleanWriter in front of each. Stderr, to which programs also log, hides
// the passwords of URLs, too. It takes a whole line at a time.
func Streams(stdout, stderr io.Writer) (cleanOut, cleanErr io.Writer) {
	return NewCleanWriter(stdout), NewCleanWriter(redactingWriter{stderr})
}

// redactingWriter hides the passwords of URLs in what it writes.
type redactingWriter struct{ w io.Writer }

func (r redactingWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.w, redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CleanWriter replaces characters that control a terminal or reverse the direction of writing. Hosts and other programs write
// much of what a command prints. Line breaks and tabs stay. Its methods can be called by several goroutines.
type CleanWriter struct {
	mutex sync.Mutex
	w     io.Writer
	// rest is the start of a character whose other bytes the next call has.
	rest []byte
}

// NewCleanWriter returns a writer that writes to w.
func NewCleanWriter(w io.Writer) *CleanWriter { return &CleanWriter{w: w} }

// Write cleans p and writes it.
func (c *CleanWriter) Write(p []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.rest) == 0 && !bytes.ContainsFunc(p, unprintable) {
		return c.w.Write(p)
	}
	text := slices.Concat(c.rest, p)
	end := completeRunes(text)
	c.rest = bytes.Clone(text[end:])
	if _, err := io.WriteString(c.w, clean(string(text[:end]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unprintable reports whether a character is not printable ASCII, a line break or a tab. utf8.RuneError is not.
func unprintable(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f }

// completeRunes returns the length of text without an incomplete character at its end.
func completeRunes(text []byte) int {
	for n := 1; n <= min(utf8.UTFMax, len(text)); n++ {
		if start := len(text) - n; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				return start
			}
			break
		}
	}
	return len(text)
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && controls(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError))) // a byte of an invalid text can be a C1 control
}

// OneLine replaces characters that control a terminal or reverse the direction of writing by spaces. Others may have written the
// text, and it must not move the cursor.
func OneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if controls(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// controls reports whether a character controls a terminal or the direction of writing.
func controls(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// escapingWriter escapes the characters in strings of JSON that a CleanWriter would replace. Each call of Write has whole
// characters, as those of a json.Encoder have.
type escapingWriter struct{ w io.Writer }

func (e escapingWriter) Write(p []byte) (int, error) {
	if !bytes.ContainsFunc(p, func(r rune) bool { return r >= 0x7f && controls(r) }) {
		return e.w.Write(p)
	}
	var b strings.Builder
	for _, r := range string(p) {
		if r < 0x7f || !controls(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	if _, err := io.WriteString(e.w, b.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}
