// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository_test

import (
	"crypto/sha1" //nolint:gosec // Git uses it
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// advertise returns a lie: the server lists these references, given as alternating names and hashes, in place of its own. It
// sends the whole history, so a signed ancestor comes with an unsigned commit.
func advertise(refs ...string) func([]string) []string {
	return func(honest []string) []string {
		_, capabilities, _ := strings.Cut(honest[0], "\x00")
		var lines []string
		for i := 0; i+1 < len(refs); i += 2 {
			lines = append(lines, refs[i+1]+" "+refs[i])
		}
		lines[0] += "\x00" + strings.Replace(capabilities, " shallow ", " ", 1)
		return lines
	}
}

// lies are the objects that a server can name in a list of references.
type lies struct {
	*gittest.Repository
	https *gittest.HTTPS
	// signed is a commit, and signedTag the tag object v1.0.0 for it. unsigned is a commit with another plan.
	signed, signedTag, unsigned string
	verify                      repository.Verify
}

func newLies(t *testing.T) *lies {
	testtool.Need(t, "ssh-keygen")
	r := gittest.New(t)
	r.Commit("a.yaml", "first")
	key := filepath.Join(t.TempDir(), "key")
	public := gittest.MakeKey(t, key)
	signing := []string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + key}
	r.Write("a.yaml", "signed")
	r.Git(append(signing, "commit", "-q", "-S", "-a", "-m", "signed")...)
	r.Git(append(signing, "tag", "-s", "-m", "signed", "v1.0.0")...)
	l := &lies{Repository: r, signed: r.Head(), signedTag: r.Git("rev-parse", "v1.0.0")}
	r.Git("push", "-q", "--tags", "origin", "HEAD")
	r.Write("a.yaml", "unsigned")
	r.Git("commit", "-q", "-a", "-m", "unsigned")
	l.unsigned = r.Head()
	l.serve("commit", l.unsigned)
	l.verify = repository.Verify{AllowedSigners: []string{signers(t, "a@example.com "+public)}}
	r.GitBare("config", "uploadpack.allowAnySHA1InWant", "true")
	l.https = gittest.ServeHTTPS(t, r)
	return l
}

// serve makes the server give out an object.
func (l *lies) serve(name, hash string) { l.Git("push", "-q", "origin", hash+":refs/lies/"+name) }

// tag makes an unsigned tag object.
func (l *lies) tag(name, kind, target string) string {
	l.Write("tag", fmt.Sprintf("object %s\ntype %s\ntag %s\ntagger A <a@example.com> 1750000000 +0000\n\nm\n", target, kind, name))
	hash := l.Git("hash-object", "-t", "tag", "-w", "--literally", filepath.Join(l.Work, "tag"))
	l.serve("tag-"+hash, hash)
	return hash
}

func (l *lies) location(ref repository.Ref, object string) repository.Location {
	at := repository.Location{URL: l.https.URL, Ref: ref, Verify: l.verify,
		Auth: repository.Auth{TokenFile: l.https.TokenFile, CAFile: l.https.CAFile}}
	at.Verify.Object = object
	return at
}

// The plan of a source with signatures is that of a signed commit, for each statement of a server that is not true.
func TestRead_LyingServerCannotReplaceTheSignedTree(t *testing.T) {
	l := newLies(t)
	evil := l.tag("v1.0.0", "commit", l.unsigned)
	nested := l.tag("v1.0.0", "tag", l.signedTag)
	evilNested := l.tag("v1.0.0", "tag", evil)
	tree := l.Git("rev-parse", l.unsigned+"^{tree}")
	ofTree := l.tag("v1.0.0", "tree", tree)
	main, tag, head := repository.Ref{Branch: "main"}, repository.Ref{Tag: "v1.0.0"}, repository.Ref{}
	semver := repository.Ref{SemVer: "1.x"}
	for name, tc := range map[string]struct {
		ref    repository.Ref
		object string
		refs   []string
		says   string
	}{
		"branch at an unsigned tag, peeled to a signed commit": {main, "", []string{"refs/heads/main", evil, "refs/heads/main^{}", l.signed}, "not a commit"},
		"branch at a signed tag":                               {main, "", []string{"refs/heads/main", l.signedTag, "refs/heads/main^{}", l.signed}, "not a commit"},
		"branch at an unsigned commit, peeled to a signed one": {main, "", []string{"refs/heads/main", l.unsigned, "refs/heads/main^{}", l.signed}, "not signed"},
		"branch at a signed commit, peeled to another":         {main, "", []string{"refs/heads/main", l.signed, "refs/heads/main^{}", l.unsigned}, "the server says that it leads to " + l.unsigned},
		"branch at an unsigned commit":                         {main, "", []string{"refs/heads/main", l.unsigned}, "not signed"},
		"branch at a tree":                                     {main, "", []string{"refs/heads/main", tree, "refs/heads/main^{}", l.signed}, "not a commit"},
		"HEAD at an unsigned tag, peeled to a signed commit":   {head, "", []string{"HEAD", evil, "HEAD^{}", l.signed}, "not a commit"},
		"HEAD at an unsigned commit":                           {head, "", []string{"HEAD", l.unsigned, "HEAD^{}", l.signed, "refs/heads/main", l.unsigned}, "not signed"},
		"HEAD at another commit than its branch":               {head, "", []string{"HEAD", l.unsigned, "refs/heads/main", l.signed}, "and its branch main"},
		"commit: tag at an unsigned tag":                       {tag, "Commit", []string{"refs/tags/v1.0.0", evil, "refs/tags/v1.0.0^{}", l.signed}, "not signed"},
		"commit: tag at an unsigned commit":                    {tag, "Commit", []string{"refs/tags/v1.0.0", l.unsigned, "refs/tags/v1.0.0^{}", l.signed}, "not signed"},
		"commit: tag of an unsigned tag":                       {tag, "Commit", []string{"refs/tags/v1.0.0", evilNested, "refs/tags/v1.0.0^{}", l.signed}, "not signed"},
		"commit: signed tag, peeled to another":                {tag, "Commit", []string{"refs/tags/v1.0.0", l.signedTag, "refs/tags/v1.0.0^{}", l.unsigned}, "the server says that it leads to " + l.unsigned},
		"commit: tag at a tree":                                {tag, "Commit", []string{"refs/tags/v1.0.0", ofTree, "refs/tags/v1.0.0^{}", l.signed}, "not a commit"},
		"commit: range at an unsigned tag":                     {semver, "Commit", []string{"refs/tags/v1.5.0", evil, "refs/tags/v1.5.0^{}", l.signed}, "not signed"},
		"tag: unsigned tag, peeled to a signed commit":         {tag, "Tag", []string{"refs/tags/v1.0.0", evil, "refs/tags/v1.0.0^{}", l.signed}, "not signed"},
		"tag: unsigned tag of a signed tag":                    {tag, "Tag", []string{"refs/tags/v1.0.0", nested, "refs/tags/v1.0.0^{}", l.signed}, "not signed"},
		"tag: signed tag, peeled to another commit":            {tag, "Tag", []string{"refs/tags/v1.0.0", l.signedTag, "refs/tags/v1.0.0^{}", l.unsigned}, "the server says that it leads to " + l.unsigned},
		"tag: range at a signed tag of another name":           {semver, "Tag", []string{"refs/tags/v1.5.0", l.signedTag, "refs/tags/v1.5.0^{}", l.signed}, `signed as tag "v1.0.0"`},
		"tag: signed commit":                                   {tag, "", []string{"refs/tags/v1.0.0", l.signed, "refs/tags/v1.0.0^{}", l.signed}, "not an annotated tag"},
		"hash of a tag object":                                 {repository.Ref{Commit: evil}, "", []string{"refs/heads/main", l.signed}, "not a commit"},
		"hash of an unsigned commit":                           {repository.Ref{Commit: l.unsigned}, "", []string{"refs/heads/main", l.signed}, "not signed"},
	} {
		t.Run(name, func(t *testing.T) {
			l.https.Lie = advertise(tc.refs...)
			_, files, err := read(t, l.location(tc.ref, tc.object), repository.DefaultLimits())
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %s and the error %v, want: %s", text(files), err, tc.says)
			}
		})
	}
	for name, tc := range map[string]struct {
		ref    repository.Ref
		object string
		refs   []string
	}{
		"branch without peeled value":     {main, "", []string{"refs/heads/main", l.signed}},
		"branch with its own peeled":      {main, "", []string{"refs/heads/main", l.signed, "refs/heads/main^{}", l.signed}},
		"tag without peeled value":        {tag, "Tag", []string{"refs/tags/v1.0.0", l.signedTag}},
		"commit of a tag without peeled":  {tag, "Commit", []string{"refs/tags/v1.0.0", l.signedTag}},
		"signed commit of a tag of a tag": {tag, "Commit", []string{"refs/tags/v1.0.0", nested, "refs/tags/v1.0.0^{}", l.signed}},
		"wrong statement about another":   {main, "", []string{"refs/heads/main", l.signed, "refs/tags/v1.0.0", evil, "refs/tags/v1.0.0^{}", l.signed}},
	} {
		t.Run(name, func(t *testing.T) {
			l.https.Lie = advertise(tc.refs...)
			revision, files := mustRead(t, l.location(tc.ref, tc.object))
			if files != "a.yaml=signed;" || !strings.HasSuffix(revision.String(), "@sha1:"+l.signed) {
				t.Errorf("got %s: %s", revision, files)
			}
		})
	}
}

// Without keys, the revision names the commit whose files were read too.
func TestRead_RevisionNamesTheCommitThatWasRead(t *testing.T) {
	l := newLies(t)
	l.https.Lie = advertise("refs/tags/v1.0.0", l.tag("v1.0.0", "commit", l.unsigned))
	at := l.location(repository.Ref{Tag: "v1.0.0"}, "")
	at.Verify = repository.Verify{}
	if revision, files := mustRead(t, at); files != "a.yaml=unsigned;" || revision.String() != "v1.0.0@sha1:"+l.unsigned {
		t.Errorf("got %s: %s", revision, files)
	}
	l.https.Lie = advertise("refs/tags/v1.0.0", l.tag("v1.0.0", "commit", l.unsigned), "refs/tags/v1.0.0^{}", l.signed)
	fails(t, at, repository.DefaultLimits(), repository.Unverified, "the server says that it leads to "+l.signed)
}

// A server whose disk was changed, or that keeps one object under the hash of another, cannot change what was signed.
func TestRead_HashesObjectsOfEachBackend(t *testing.T) {
	l := newLies(t)
	object := func(name string) string { return filepath.Join(l.Bare, "objects", name[:2], name[2:]) }
	for backend, at := range servers(t, l.Repository) {
		at.Ref, at.Verify = repository.Ref{Branch: "main"}, l.verify
		if _, files := mustRead(t, at); files != "a.yaml=signed;" {
			t.Fatalf("%s: got %s", backend, files)
		}
		for _, what := range []string{"", "^{tree}", ":a.yaml"} {
			t.Run(backend+" "+what, func(t *testing.T) {
				good, evil := object(l.Git("rev-parse", l.signed+what)), object(l.Git("rev-parse", l.unsigned+what))
				honest := contentOf(t, good)
				replace(t, good, contentOf(t, evil))
				defer replace(t, good, honest)
				if backend == "file" {
					fails(t, at, repository.DefaultLimits(), repository.Refused, "has the hash")
				} else if _, files, err := read(t, at, repository.DefaultLimits()); err == nil { // a server may find it, too
					t.Errorf("got %s", text(files))
				}
			})
		}
		if _, files := mustRead(t, at); files != "a.yaml=signed;" {
			t.Errorf("%s: got %s", backend, files)
		}
	}
}

func contentOf(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The index of a packfile says at which offset each object is.
func TestRead_HashesObjectsOfPackfiles(t *testing.T) {
	l := newLies(t)
	l.GitBare("repack", "-adq")
	at := repository.Location{URL: l.URL(), Ref: repository.Ref{Branch: "main"}, Verify: l.verify}
	if _, files := mustRead(t, at); files != "a.yaml=signed;" {
		t.Fatalf("got %s", files)
	}
	found, err := filepath.Glob(filepath.Join(l.Bare, "objects", "pack", "*.idx"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	index := contentOf(t, found[0])
	names := strings.Fields(l.GitBare("cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	offsets := index[8+256*4+len(names)*24:] // after the fan-out table, the names and the checksums of the objects
	good, evil := slices.Index(names, l.Git("rev-parse", l.signed+":a.yaml")), slices.Index(names, l.Git("rev-parse", l.unsigned+":a.yaml"))
	copy(offsets[good*4:good*4+4], offsets[evil*4:evil*4+4])
	sum := sha1.Sum(index[:len(index)-20])
	copy(index[len(index)-20:], sum[:])
	replace(t, found[0], index)
	fails(t, at, repository.DefaultLimits(), repository.Refused, "has the hash")
}

// replace writes a file of a repository, which are read only.
func replace(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
