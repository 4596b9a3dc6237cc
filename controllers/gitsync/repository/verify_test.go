// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// openPGP makes a key in a keyring of its own, and returns its id and the file with the public key.
func openPGP(t *testing.T, r *gittest.Repository, name, expires string) (id, public string) {
	t.Helper()
	return openPGPKey(t, r, name, "ed25519", expires)
}

func openPGPKey(t *testing.T, r *gittest.Repository, name, algorithm, expires string) (id, public string) {
	t.Helper()
	gpg := newGPG(t, r)
	gpg("--quick-gen-key", name+" <"+name+"@example.com>", algorithm, "sign", expires)
	return name + "@example.com", exported(t, gpg)
}

// newGPG returns a function that runs gpg with an empty home directory, which Git uses, too. It returns the output.
func newGPG(t *testing.T, r *gittest.Repository) func(...string) string {
	t.Helper()
	testtool.Need(t, "gpg")
	home, err := os.MkdirTemp("", "gpg") // a socket path has a length limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	r.Setenv("GNUPGHOME", home)
	return func(args ...string) string {
		t.Helper()
		cmd := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

// exported writes all public keys to a file.
func exported(t *testing.T, gpg func(...string) string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(name, []byte(gpg("--armor", "--export")), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// signers writes an allowed signers file.
func signers(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "allowed_signers")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenPGPSignatures(t *testing.T) {
	r := gittest.New(t)
	r.Commit("a.yaml", "unsigned")
	id, public := openPGP(t, r, "alice", "never")
	signing := []string{"-c", "user.signingKey=" + id}
	r.Write("a.yaml", "signed")
	r.Git(append(signing, "commit", "-q", "-S", "-a", "-m", "signed")...)
	r.Git(append(signing, "tag", "-s", "-m", "signed", "v1.0.0")...)
	r.Git("tag", "-a", "-m", "not signed", "v2.0.0")
	r.Git("tag", "v3.0.0")
	r.Git("push", "-q", "--tags", "origin", "HEAD")
	r.Git("checkout", "-q", "-b", "unsigned", "HEAD~1")
	r.Push()
	_, other := openPGP(t, r, "mallory", "never")
	ring := repository.Verify{OpenPGPKeys: []string{other, public}}
	l := repository.Location{URL: r.URL(), Verify: ring}
	verified := func(ref repository.Ref, object string) repository.Location {
		l := l
		l.Ref, l.Verify.Object = ref, object
		return l
	}
	for _, good := range []repository.Location{
		verified(repository.Ref{Branch: "main"}, ""),
		verified(repository.Ref{Tag: "v1.0.0"}, ""),
		verified(repository.Ref{SemVer: "1.x"}, repository.VerifyTag),
		verified(repository.Ref{Tag: "v2.0.0"}, repository.VerifyCommit),
		verified(repository.Ref{Tag: "v3.0.0"}, repository.VerifyCommit),
	} {
		if _, files := mustRead(t, good); files != "a.yaml=signed;" {
			t.Errorf("%+v: got %s", good.Ref, files)
		}
	}
	unverified := func(l repository.Location, says string) {
		t.Helper()
		fails(t, l, repository.DefaultLimits(), repository.Unverified, says)
	}
	unverified(verified(repository.Ref{Branch: "unsigned"}, ""), "not signed")
	unverified(verified(repository.Ref{Tag: "v2.0.0"}, ""), "not signed")
	unverified(verified(repository.Ref{Tag: "v3.0.0"}, ""), "not an annotated tag")
	l.Verify.OpenPGPKeys = []string{other}
	unverified(verified(repository.Ref{Branch: "main"}, ""), "OpenPGP signature by none of the keys")
	unverified(verified(repository.Ref{Tag: "v1.0.0"}, ""), "OpenPGP signature by none of the keys")

	// A reference of another name points to the signed tag.
	r.GitBare("update-ref", "refs/tags/v9.0.0", r.GitBare("rev-parse", "v1.0.0"))
	l.Verify = ring
	unverified(verified(repository.Ref{SemVer: "*"}, ""), `signed as tag "v1.0.0"`)

	// The signed commit refers to another tree.
	tampered := r.Git("cat-file", "commit", "main")
	tree := r.Git("rev-parse", "main^{tree}")
	forged := strings.Replace(tampered, tree, r.Git("rev-parse", "unsigned^{tree}"), 1) + "\n"
	path := filepath.Join(t.TempDir(), "commit")
	if err := os.WriteFile(path, []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Git("push", "-q", "--force", "origin", r.Git("hash-object", "-t", "commit", "-w", path)+":refs/heads/forged")
	unverified(verified(repository.Ref{Branch: "forged"}, ""), "OpenPGP signature by none of the keys")

	l.Verify.OpenPGPKeys = []string{signers(t, "nonsense")}
	fails(t, verified(repository.Ref{}, ""), repository.DefaultLimits(), repository.Misconfigured, "must contain armored public keys")
}

func TestSSHSignatures(t *testing.T) {
	testtool.Need(t, "ssh-keygen")
	r := gittest.New(t)
	r.Commit("a.yaml", "unsigned")
	key := filepath.Join(t.TempDir(), "key")
	public := strings.TrimSpace(gittest.MakeKey(t, key))
	other := strings.TrimSpace(gittest.MakeKey(t, filepath.Join(t.TempDir(), "other")))
	signing := []string{"-c", "gpg.format=ssh", "-c", "user.signingKey=" + key}
	r.Setenv("GIT_COMMITTER_DATE", "2026-06-15T12:00:00Z")
	r.Write("a.yaml", "signed")
	r.Git(append(signing, "commit", "-q", "-S", "-a", "-m", "signed")...)
	r.Git(append(signing, "tag", "-s", "-m", "signed", "v1.0.0")...)
	r.Git("push", "-q", "--tags", "origin", "HEAD")
	r.Git("checkout", "-q", "-b", "unsigned", "HEAD~1")
	r.Push()
	for name, tc := range map[string]struct {
		ref     repository.Ref
		signers string
		reason  repository.Reason
		says    string
	}{
		"commit":                 {repository.Ref{Branch: "main"}, "a@example.com " + public, "", ""},
		"tag":                    {repository.Ref{Tag: "v1.0.0"}, "# comment\n\nb@example.com " + other + "\na@example.com " + public, "", ""},
		"namespace git":          {repository.Ref{}, `a@example.com namespaces="file,git" ` + public, "", ""},
		"all namespaces":         {repository.Ref{}, `a@example.com namespaces="*" ` + public, "", ""},
		"valid key":              {repository.Ref{}, `a@example.com valid-after="20260101",valid-before="202612312359Z" ` + public, "", ""},
		"second line of the key": {repository.Ref{}, `a namespaces="file" ` + public + "\na " + public, "", ""},
		"not signed":             {repository.Ref{Branch: "unsigned"}, "a@example.com " + public, repository.Unverified, "not signed"},
		"another key":            {repository.Ref{}, "a@example.com " + other, repository.Unverified, "by none of the keys in verify.allowedSigners"},
		"tag by another key":     {repository.Ref{Tag: "v1.0.0"}, "a@example.com " + other, repository.Unverified, "by none of the keys"},
		"another namespace":      {repository.Ref{}, `a@example.com namespaces="file" ` + public, repository.Unverified, "the SSH key of a@example.com may not sign for git"},
		"key not valid yet":      {repository.Ref{}, `a@example.com valid-after="20260616" ` + public, repository.Unverified, "is valid from 2026-06-16T00:00:00Z"},
		"key not valid anymore":  {repository.Ref{}, `a@example.com valid-before="20260615115959" ` + public, repository.Unverified, "is valid until 2026-06-15T11:59:59Z"},
		"unknown option":         {repository.Ref{}, "# x\n" + `a@example.com cert-authority ` + public, repository.Misconfigured, `:2: unknown option "cert-authority"`},
		"invalid time":           {repository.Ref{}, `a@example.com valid-after="soon" ` + public, repository.Misconfigured, `invalid time "soon"; use`},
		"no signers":             {repository.Ref{}, "# nothing", repository.Misconfigured, "contains no signer"},
		"invalid key":            {repository.Ref{}, "a@example.com nonsense", repository.Misconfigured, ":1: must be principals, options and a public key"},
		"empty file":             {repository.Ref{}, "", repository.Misconfigured, "contains no signer"},
	} {
		t.Run(name, func(t *testing.T) {
			l := repository.Location{URL: r.URL(), Ref: tc.ref, Verify: repository.Verify{AllowedSigners: []string{signers(t, tc.signers)}}}
			if tc.reason != "" {
				fails(t, l, repository.DefaultLimits(), tc.reason, tc.says)
			} else if _, files := mustRead(t, l); files != "a.yaml=signed;" {
				t.Errorf("got %s", files)
			}
		})
	}
}

func TestOpenPGPSignatures_RejectExpiredKey(t *testing.T) {
	r := gittest.New(t)
	r.Commit("a.yaml", "1")
	id, public := openPGP(t, r, "bob", "seconds=1")
	r.Setenv("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z")
	r.Git("-c", "user.signingKey="+id, "commit", "-q", "--allow-empty", "-S", "-m", "signed")
	r.Push()
	l := repository.Location{URL: r.URL(), Verify: repository.Verify{OpenPGPKeys: []string{public}}}
	gittest.Eventually(t, "the key has expired", func() bool {
		_, _, err := read(t, l, repository.DefaultLimits())
		return err != nil && strings.Contains(err.Error(), "expired")
	})
}

// A self-signature says what a key may do. One with SHA-1 can be that of another text.
func TestOpenPGPKeys_RejectWeakSelfSignatures(t *testing.T) {
	r := gittest.New(t)
	r.Commit("a.yaml", "1")
	gpg := newGPG(t, r)
	gpg("--allow-weak-digest-algos", "--cert-digest-algo", "SHA1", "--quick-gen-key", "alice <alice@example.com>", "rsa2048", "sign", "never")
	l := repository.Location{URL: r.URL(), Verify: repository.Verify{OpenPGPKeys: []string{exported(t, gpg)}}}
	fails(t, l, repository.DefaultLimits(), repository.Misconfigured, "has a self-signature with the hash SHA-1, which is too weak")
	_, fields, _ := strings.Cut(gpg("--with-colons", "--list-keys"), "\nfpr:")
	gpg("--cert-digest-algo", "SHA512", "--quick-set-expire", strings.Split(fields, ":")[8], "2y")
	l.Verify.OpenPGPKeys = []string{exported(t, gpg)}
	fails(t, l, repository.DefaultLimits(), repository.Unverified, "not signed")
}

// SHA-1 is broken: two commits can have one SHA-1 signature.
func TestOpenPGPSignatures_RejectWeakHashes(t *testing.T) {
	r := gittest.New(t)
	r.Commit("a.yaml", "1")
	id, public := openPGPKey(t, r, "alice", "rsa2048", "never")
	l := repository.Location{URL: r.URL(), Verify: repository.Verify{OpenPGPKeys: []string{public}}}
	sign := func(digest string) {
		gpg := filepath.Join(t.TempDir(), "gpg")
		if err := os.WriteFile(gpg, []byte("#!/bin/sh\nexec gpg --batch --allow-weak-digest-algos --digest-algo "+digest+" \"$@\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		r.Git("-c", "gpg.program="+gpg, "-c", "user.signingKey="+id, "commit", "-q", "--allow-empty", "-S", "-m", digest)
		r.Git("-c", "gpg.program="+gpg, "-c", "user.signingKey="+id, "tag", "-s", "-m", digest, digest)
		r.Git("push", "-q", "--tags", "origin", "HEAD")
	}
	for digest, says := range map[string]string{"SHA1": "OpenPGP signature with the hash SHA-1, which is too weak",
		"RIPEMD160": "OpenPGP signature by none of the keys"} { // the library cannot read it
		sign(digest)
		fails(t, l, repository.DefaultLimits(), repository.Unverified, says)
		tag := l
		tag.Ref.Tag = digest
		fails(t, tag, repository.DefaultLimits(), repository.Unverified, says)
	}
	sign("SHA256")
	if _, files := mustRead(t, l); files != "a.yaml=1;" {
		t.Errorf("got %s", files)
	}
}
