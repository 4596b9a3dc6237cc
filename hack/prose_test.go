// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package hack_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	gocmp "github.com/google/go-cmp/cmp"
)

// prose is the part of the tree that TestProse checks.
var prose = flag.String("prose", "", "check all prose of files below this path; . is the whole tree")

// rejected lists words and phrases with a plain replacement. Words match without regard to case and as whole words; a phrase
// matches across line breaks too.
//
// This is a test and not vale or golangci-lint's misspell: vale is a program of 200 modules that reads Go comments but not Go
// strings or identifiers, and misspell reads Go only and knows no phrases. Spelling is not checked here.
var rejected = []struct{ words, instead string }{
	// Archaic and literary words.
	{"mend|mends|mended|mending", "correct, fix, repair"},
	{"anew", "again"},
	{"lest", "so that … not"},
	{"borne|bearers", "had, named"},
	{"upon", "on, after"},
	{"thrice", "three times"},
	{"shall", "must, should, will"},
	{"whatever|whoever|whichever", "any, each, the user that"},
	{"for ever", "without end"},
	{"be so|so be it", "apply, hold"},
	{"hence|thereof|whence|wherein|hitherto|henceforth|nought|ere", "so, of it"},
	{"amongst|whilst|amidst|midst", "among, while, during"},
	{"need not", "does not need to"},
	{"of old|of late", "former, recent"},
	{"foresee|foresees|foreseen|foreseeing", "predict, simulate"},
	{"affair|affairs", "responsibility"},
	{"in the eyes of|in its eyes|in its own eyes", "according to"},
	{"in the place of|takes the place of|take the place of|in its place", "instead of, replaces"},
	{"goes before|go before|went before", "takes precedence over"},
	{"by the clock", "periodically, on a timer"},
	{"of people|for people", "readable, for the operator"},
	{"broken off|break off|breaks off", "interrupted, canceled"},
	{"put right|puts right", "corrected"},
	{"lies over|lie over", "replaces"},
	{"who waits", "the waiter, the caller"},

	// Indefinite actors.
	{"somebody|someone|nobody|anybody|everybody|no one", "the operator, the controller, the client; no host"},
	{"stranger|strangers", "unknown host, new reader"},

	// Subjects missing.
	{"is told|are told|be told|was told|were told", "name who learns what: the operator sees …"},
	{"is said|are said", "name who says it"},
	{"looked at|is seen|are seen|was seen|it is known", "name who reads or notices it"},

	// Metaphors.
	{"rang|rung|ring for|rings for|rings a|it rings", "changed, notifies"},
	{"bell|bells", "watch"},
	{"hung", "watched, blocked"},
	{"sight|sights", "snapshot"},
	{"keeper|keepers", "manager, owner"},
	{"team|teams", "limit scope"},
	{"judge|judges|judged|judging", "check, classify, decide"},
	{"board", "reporter, dashboard"},
	{"rubbish", "an invalid value"},
	{"ailing|owed|owes", "failing, unexplained"},
	{"last word|own word|its word|without a word|in words|words for", "statement, message, silently"},
	{"no news|is news|are news", "unchanged, a new reading"},
	{"the one writer", "the leader"},

	// Vocabulary of the glossary.
	{"in the field", "legacy host"},
	{"taken back|take back|takes back|taking back|took back", "revoked, revokes"},

	// British spelling.
	{"colour|colours|coloured|colouring|colourless", "color"},
	{"behaviour|favour|honour|neighbour|neighbours|licence|centre|grey|judgement", "American spelling"},
	{"cancelled|cancelling|labelled|travelled|towards|catalogue|analyse|organise|recognise", "American spelling"},
}

// allowed lists what is no prose of ours, or where a word is the right one: path pattern, words, reason.
var allowed = []struct{ path, words, why string }{
	{"hack/prose_test.go", "", "it holds the list"},
	{"config/agent/config.yaml", "nobody", "the name of a user"},
	{"config/crd/*", "upon", "a description of apimachinery"},
	{"LICENSE", "", "not ours"},
	{"hack/packages.sh", "licence", "the name of a file in other modules"},
	{"hack/licenses_test.go", "licence", "the name of a file in other modules"},
	{"*.sum", "", "generated"},
	{"*go.mod", "", "names of modules"},
	{"hack/axe/package*.json", "", "generated"},
	{"docs/reference/man/*", "", "generated from the same help texts as the pages beside it"},
	{"*/zz_generated*", "", "generated"},
	{"*.fail", "", "written by rapid"},
	{"*.svg", "", "generated"},
	{"*.png", "", "no text"},
	{"controllers/agent/commands/commands_test.go", "nobody", "a user of Unix"},
	{"controllers/agent/config/config_test.go", "nobody", "a user of Unix"},
}

// finding is a rejected word in a file.
type proseFinding struct {
	file    string
	line    int
	word    string
	instead string
}

func (f proseFinding) String() string {
	return fmt.Sprintf("%s:%d: %q: write %s", f.file, f.line, f.word, f.instead)
}

// proseRules maps the first word of each rejected phrase to the phrases that begin with it.
type proseRules map[string][]proseRule

// proseRule is a rejected phrase.
type proseRule struct {
	words   []string
	instead string
}

func newProseRules() proseRules {
	rules := proseRules{}
	for _, row := range rejected {
		for phrase := range strings.SplitSeq(row.words, "|") {
			words := strings.Fields(phrase)
			rules[words[0]] = append(rules[words[0]], proseRule{words, row.instead})
		}
	}
	return rules
}

// find returns the rejected words of a file, by line.
func (rules proseRules) find(file string, data []byte) []proseFinding {
	text := string(data)
	if path.Ext(file) == ".go" {
		text = goProse(data)
	}
	var found []proseFinding
	line, counted := 1, 0
	all := word.FindAllStringIndex(text, -1)
	for i, at := range all {
		for _, r := range rules[strings.ToLower(text[at[0]:at[1]])] {
			phrase, ok := r.match(text, all[i:])
			if !ok || proseAllowed(file, phrase) {
				continue
			}
			line, counted = line+strings.Count(text[counted:at[0]], "\n"), at[0]
			found = append(found, proseFinding{file, line, phrase, r.instead})
		}
	}
	return found
}

var (
	word = regexp.MustCompile(`\b[A-Za-z]+\b`)
	// gap is what may separate the words of a phrase: white space, and what starts the line of a comment or quotation.
	gap = regexp.MustCompile(`^\s+(?:(?://|#|\*|>)\s*)?$`)
)

// match reports whether the text has the phrase at the first of the given words.
func (r proseRule) match(text string, at [][]int) (phrase string, ok bool) {
	if len(at) < len(r.words) {
		return "", false
	}
	for i, want := range r.words {
		if !strings.EqualFold(text[at[i][0]:at[i][1]], want) || i > 0 && !gap.MatchString(text[at[i-1][1]:at[i][0]]) {
			return "", false
		}
	}
	return strings.Join(r.words, " "), true
}

// proseAllowed reports whether a row of allowed applies.
func proseAllowed(file, word string) bool {
	for _, a := range allowed {
		matched := a.path == file || strings.HasPrefix(a.path, "*") && strings.HasSuffix(file, strings.TrimLeft(a.path, "*"))
		if ok, _ := path.Match(a.path, file); ok {
			matched = true
		}
		if !matched && strings.HasPrefix(a.path, "*/") {
			matched, _ = path.Match(strings.TrimPrefix(a.path, "*/"), path.Base(file))
		}
		if matched && (a.words == "" || slices.Contains(strings.Split(a.words, "|"), strings.ToLower(word))) {
			return true
		}
	}
	return false
}

// goProse returns the comments, strings and names of a Go file on the lines where they are. A name such as
// TestPauseStops becomes "Test Pause Stops".
func goProse(src []byte) string {
	var out strings.Builder
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, scanner.ScanComments)
	for line := 1; ; {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return out.String()
		}
		for ; line < file.Line(pos); line++ {
			out.WriteByte('\n')
		}
		switch tok {
		case token.COMMENT, token.STRING:
			out.WriteString(text)
			line += strings.Count(text, "\n")
		case token.IDENT:
			out.WriteString(splitName(text))
		}
		if tok != token.COMMENT {
			out.WriteString(" ; ") // no phrase spans two tokens
		}
	}
}

// splitName puts a space before each capital letter that follows a small one.
func splitName(name string) string {
	var out strings.Builder
	small := false
	for _, r := range name {
		if r == '_' || small && unicode.IsUpper(r) {
			out.WriteByte(' ')
		}
		if r != '_' {
			out.WriteRune(r)
		}
		small = unicode.IsLower(r)
	}
	return out.String()
}

// trackedFiles lists the files of the repository, with those that are not committed yet, below a path.
func trackedFiles(t *testing.T, below string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "--", below)
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(out))
	if len(files) == 0 {
		t.Fatalf("%s has no files", below)
	}
	return slices.DeleteFunc(files, func(file string) bool { // deleted, and not committed yet
		_, err := os.Stat(filepath.Join("..", file))
		return err != nil
	})
}

func TestProse(t *testing.T) {
	rules := newProseRules()
	counts := map[string]int{}
	for _, file := range trackedFiles(t, cmp.Or(*prose, ".")) {
		data, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(data, 0) >= 0 {
			continue
		}
		for _, f := range rules.find(file, data) {
			t.Error(f)
			counts[path.Dir(file)]++
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%4d %s", counts[dir], dir)
	}
}

func TestProse_FindsRejectedWords(t *testing.T) {
	for _, tc := range []struct {
		name, file, text string
		want             []string
	}{
		{"word", "page.md", "The operator\nmends it.", []string{`page.md:2: "mends": write correct, fix, repair`}},
		{"part of a word", "page.md", "An amendment, a dashboard, a string.", nil},
		{"phrase across comment lines", "a.go", "package a\n\n// hosts in the\n// field\n", []string{`a.go:3: "in the field": write legacy host`}},
		{"possessive", "page.md", "by somebody's hand", []string{`page.md:1: "somebody": write the operator, the controller, the client; no host`}},
		{"words in two sentences", "page.md", "hosts in the. Field", nil},
		{"string", "a.go", "package a\n\nvar x = `one\nanew`\n", []string{`a.go:4: "anew": write again`}},
		{"name", "a.go", "package a\n\nfunc TestSomebodyMends() {}\n",
			[]string{`a.go:3: "somebody": write the operator, the controller, the client; no host`, `a.go:3: "mends": write correct, fix, repair`}},
		{"keyword", "a.go", "package a\n\nfunc be() { so() }\n", nil},
		{"allowed file", "LICENSE", "shall", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range newProseRules().find(tc.file, []byte(tc.text)) {
				got = append(got, f.String())
			}
			if d := gocmp.Diff(tc.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}
