// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

func TestCleanWriter_ReplacesControlCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"a line\n\tanother\n":       "a line\n\tanother\n",
		"größer █ 世界\n":             "größer █ 世界\n",
		"\x1b[2J\r\b\x00\x7f":       "\uFFFD[2J\uFFFD\uFFFD\uFFFD\uFFFD",
		"\u009b31m \u202egpj":       "\uFFFD31m \uFFFDgpj",
		"a byte of Latin-1: \x9b1m": "a byte of Latin-1: \uFFFD1m",
	} {
		var whole, single bytes.Buffer
		if n, err := cli.NewCleanWriter(&whole).Write([]byte(in)); n != len(in) || err != nil {
			t.Errorf("Write(%q) = %d, %v", in, n, err)
		}
		w := cli.NewCleanWriter(&single)
		for i := range len(in) {
			if n, err := w.Write([]byte{in[i]}); n != 1 || err != nil {
				t.Errorf("Write(%q) = %d, %v", in[i], n, err)
			}
		}
		if whole.String() != want || single.String() != want {
			t.Errorf("%q became %q and, in single bytes, %q; want %q", in, whole.String(), single.String(), want)
		}
	}
}

// broken is a writer that fails.
type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestStreams_ReportFailedWrites(t *testing.T) {
	stdout, stderr := cli.Streams(broken{}, broken{})
	for _, text := range []string{"plain", "\u202e"} {
		if _, err := stdout.Write([]byte(text)); !errors.Is(err, errBroken) {
			t.Errorf("stdout: %v", err)
		}
		if _, err := stderr.Write([]byte(text)); !errors.Is(err, errBroken) {
			t.Errorf("stderr: %v", err)
		}
	}
}

func TestStreams_HidePasswordsOnStderr(t *testing.T) {
	var out, err bytes.Buffer
	stdout, stderr := cli.Streams(&out, &err)
	const line = `{"msg":"watch failed","error":"Get \\"https://me:secret@consul:8501/v1/kv\\": refused"}` + "\n"
	for range 2 {
		_, _ = stderr.Write([]byte(line))
	}
	_, _ = stderr.Write([]byte(`{"error": "parse \"http://me:secret%40consul\": invalid port \":secret%40consul\" after host"}`))
	_, _ = stdout.Write([]byte("ssh://git:x@host\n"))
	const parsed = `{"error": "parse \"http://me:xxxxx@consul\": invalid port after host"}`
	if want := strings.Repeat(strings.ReplaceAll(line, "secret", "xxxxx"), 2) + parsed; err.String() != want || out.String() != "ssh://git:x@host\n" {
		t.Errorf("stderr %q, stdout %q", err.String(), out.String())
	}
}

func TestPrint_EscapesControlCharactersInJSON(t *testing.T) {
	value := map[string]string{"a\u202eb": "\x1b[2J\u009b\x7f\U000E0001 <größer>"}
	var out bytes.Buffer
	if err := cli.Print(cli.NewCleanWriter(&out), cli.JSON, value); err != nil {
		t.Fatal(err)
	}
	const want = "{\n  \"a\\u202eb\": \"\\u001b[2J\\u009b\\u007f\\udb40\\udc01 <größer>\"\n}\n"
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || out.String() != want || got["a\u202eb"] != value["a\u202eb"] {
		t.Errorf("%v: %s", err, out.String())
	}
}
