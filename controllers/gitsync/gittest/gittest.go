// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gittest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// Repository is a bare repository with a clone to make commits in.
type Repository struct {
	t testing.TB
	// Bare is the folder of the bare repository, which servers serve. Work is that of the clone.
	Bare, Work string
	env        []string
}

// New creates an empty repository with the branch main.
func New(t testing.TB) *Repository {
	t.Helper()
	testtool.Need(t, "git")
	root := t.TempDir()
	r := &Repository{t: t, Bare: filepath.Join(root, "fleet.git"), Work: filepath.Join(root, "work")}
	// The configuration of the user must not change the results.
	r.env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")
	r.run(root, "init", "-q", "--bare", "--initial-branch=main", r.Bare)
	r.run(root, "clone", "-q", r.Bare, r.Work)
	return r
}

// URL returns the file:// URL of the bare repository.
func (r *Repository) URL() string { return "file://" + r.Bare }

// Setenv sets a variable for later commands.
func (r *Repository) Setenv(name, value string) { r.env = append(r.env, name+"="+value) }

// Git runs git in the clone and returns its output.
func (r *Repository) Git(args ...string) string {
	r.t.Helper()
	return r.run(r.Work, args...)
}

// GitBare runs git in the bare repository.
func (r *Repository) GitBare(args ...string) string {
	r.t.Helper()
	return r.run(r.Bare, args...)
}

func (r *Repository) run(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(context.Background(), "git", args...)
	cmd.Dir, cmd.Env = dir, r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Sign makes the clone sign its commits and tags with a new SSH key. It returns the public key, as a line of authorized_keys.
func (r *Repository) Sign() string {
	r.t.Helper()
	testtool.Need(r.t, "ssh-keygen")
	key := filepath.Join(r.t.TempDir(), "signing_key")
	public := MakeKey(r.t, key)
	signing := map[string]string{"gpg.format": "ssh", "user.signingKey": key, "commit.gpgSign": "true", "tag.gpgSign": "true"}
	for name, value := range signing {
		r.Git("config", name, value)
	}
	return public
}

// Write writes a file of the clone. An empty text removes the file.
func (r *Repository) Write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.Work, name)
	if text == "" {
		if err := os.Remove(path); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// Commit writes files, given as alternating names and texts, then commits and pushes all changes. It returns the commit.
func (r *Repository) Commit(files ...string) string {
	r.t.Helper()
	for i := 0; i+1 < len(files); i += 2 {
		r.Write(files[i], files[i+1])
	}
	r.Git("add", "-A")
	r.Git("commit", "-q", "--allow-empty", "-m", "change")
	r.Push()
	return r.Head()
}

// Push force-pushes the current branch.
func (r *Repository) Push() {
	r.t.Helper()
	r.Git("push", "-q", "--force", "origin", "HEAD")
}

// Head returns the current commit.
func (r *Repository) Head() string {
	r.t.Helper()
	return r.Git("rev-parse", "HEAD")
}
