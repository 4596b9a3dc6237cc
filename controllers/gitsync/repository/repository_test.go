// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// read opens a repository, resolves the reference and reads the files.
func read(t testing.TB, l repository.Location, limits repository.Limits) (repository.Revision, []repository.File, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	remote, err := repository.Open(ctx, l, limits)
	if err != nil {
		return repository.Revision{}, nil, err
	}
	defer func() { _ = remote.Close() }()
	revision, err := remote.Resolve(l.Ref)
	if err != nil {
		return revision, nil, err
	}
	content, err := remote.Read(ctx, revision, repository.Times{Now: time.Now(), Seen: time.Now()})
	return content.Revision, content.Files, err
}

func mustRead(t testing.TB, l repository.Location) (repository.Revision, string) {
	t.Helper()
	revision, files, err := read(t, l, repository.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return revision, text(files)
}

// text returns PATH=CONTENT; for each file.
func text(files []repository.File) string {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s=%s;", f.Path, f.Data)
	}
	return b.String()
}

// fails checks that a read fails for the reason and that the error contains the text.
func fails(t testing.TB, l repository.Location, limits repository.Limits, reason repository.Reason, says string) {
	t.Helper()
	_, files, err := read(t, l, limits)
	if wrong, ok := errors.AsType[*repository.Error](err); !ok || wrong.Reason != reason || !strings.Contains(err.Error(), says) {
		t.Errorf("got %d files and the error %v, want %s: %s", len(files), err, reason, says)
	}
}

// servers returns a location of the repository for each protocol.
func servers(t *testing.T, r *gittest.Repository) map[string]repository.Location {
	t.Helper()
	https, ssh := gittest.ServeHTTPS(t, r), gittest.ServeSSH(t, r)
	return map[string]repository.Location{
		"https": {URL: https.URL, Auth: repository.Auth{TokenFile: https.TokenFile, CAFile: https.CAFile}},
		"ssh":   {URL: ssh.URL, Auth: repository.Auth{SSHKeyFile: ssh.KeyFile, KnownHostsFile: ssh.KnownHostsFile}},
		"file":  {URL: r.URL()},
	}
}

func TestRead_EachProtocolAndReference(t *testing.T) {
	r := gittest.New(t)
	first := r.Commit("a.yaml", "1", "plans/b.yml", "1", "plans/deep/c.json", "1", "README.md", "no", "plans/.hidden.yaml", "no")
	r.Git("tag", "v1.0.0")
	r.Git("tag", "-a", "-m", "annotated", "v1.2.0")
	second := r.Commit("a.yaml", "2")
	r.Git("tag", "v2.0.0-rc.1")
	r.Git("tag", "nonsense")
	r.Git("checkout", "-q", "-b", "next")
	third := r.Commit("a.yaml", "3")
	r.Git("checkout", "-q", "main")
	r.Git("push", "-q", "--tags", "origin")
	all := func(a string) string { return "a.yaml=" + a + ";plans/b.yml=1;plans/deep/c.json=1;" }
	for name, location := range servers(t, r) {
		for _, tc := range []struct {
			ref                   repository.Ref
			path, revision, files string
		}{
			{repository.Ref{}, "", "main@sha1:" + second, all("2")},
			{repository.Ref{Branch: "main"}, "", "main@sha1:" + second, all("2")},
			{repository.Ref{Branch: "next"}, "", "next@sha1:" + third, all("3")},
			{repository.Ref{Tag: "v1.0.0"}, "", "v1.0.0@sha1:" + first, all("1")},
			{repository.Ref{Tag: "v1.2.0"}, "", "v1.2.0@sha1:" + first, all("1")},
			{repository.Ref{SemVer: "1.x"}, "", "v1.2.0@sha1:" + first, all("1")},
			{repository.Ref{SemVer: ">=1.0.0"}, "", "v1.2.0@sha1:" + first, all("1")},
			{repository.Ref{SemVer: ">=1.0.0-0"}, "", "v2.0.0-rc.1@sha1:" + second, all("2")},
			{repository.Ref{Commit: third}, "", "sha1:" + third, all("3")},
			{repository.Ref{Commit: first}, "", "sha1:" + first, all("1")},
			{repository.Ref{}, "plans", "main@sha1:" + second, "plans/b.yml=1;plans/deep/c.json=1;"},
			{repository.Ref{}, "plans/deep", "main@sha1:" + second, "plans/deep/c.json=1;"},
		} {
			t.Run(fmt.Sprintf("%s %+v %s", name, tc.ref, tc.path), func(t *testing.T) {
				l := location
				l.Ref, l.Path = tc.ref, tc.path
				revision, files := mustRead(t, l)
				if revision.String() != tc.revision || files != tc.files {
					t.Errorf("got %s: %s\nwant %s: %s", revision, files, tc.revision, tc.files)
				}
			})
		}
		for _, tc := range []struct {
			ref    repository.Ref
			path   string
			reason repository.Reason
			says   string
		}{
			{repository.Ref{Branch: "gone"}, "", repository.NoSuchRef, `no branch "gone"`},
			{repository.Ref{Tag: "v9"}, "", repository.NoSuchRef, `no tag "v9"`},
			{repository.Ref{SemVer: ">=3"}, "", repository.NoSuchRef, `no tag in the range ">=3"`},
			{repository.Ref{Commit: strings.Repeat("12345678", 5)}, "", repository.NoSuchRef, "object not found"},
			{repository.Ref{}, "nowhere", repository.NoSuchPath, `path "nowhere" does not exist`},
			{repository.Ref{}, "plans/nowhere", repository.NoSuchPath, `path "plans/nowhere" does not exist`},
			{repository.Ref{}, "a.yaml", repository.NoSuchPath, `a.yaml is not a folder`},
		} {
			t.Run(fmt.Sprintf("%s %+v %s fails", name, tc.ref, tc.path), func(t *testing.T) {
				l := location
				l.Ref, l.Path = tc.ref, tc.path
				fails(t, l, repository.DefaultLimits(), tc.reason, tc.says)
			})
		}
	}
}

// If a server serves any reachable commit and supports filters, only the needed objects are fetched.
func TestRead_FetchesOnlyNeededObjects(t *testing.T) {
	r := gittest.New(t)
	first := r.Commit("a.yaml", "1", "large.bin", strings.Repeat("0123456789", 1<<18))
	r.Commit("a.yaml", "2")
	https := gittest.ServeHTTPS(t, r)
	l := repository.Location{URL: https.URL, Ref: repository.Ref{Commit: first},
		Auth: repository.Auth{TokenFile: https.TokenFile, CAFile: https.CAFile}}
	limits := repository.DefaultLimits()
	limits.Object = 1 << 20
	fails(t, l, limits, repository.Refused, "contains a file or folder of 2621440 bytes")
	r.GitBare("config", "uploadpack.allowFilter", "true")
	r.GitBare("config", "uploadpack.allowReachableSHA1InWant", "true")
	limits.Objects = 3 // commit, tree, file
	if _, files, err := read(t, l, limits); err != nil || text(files) != "a.yaml=1;" {
		t.Errorf("got %s and the error %v", text(files), err)
	}
}

func TestSource_RejectsUnsupportedFiles(t *testing.T) {
	r := gittest.New(t)
	head := r.Commit("ok/a.yaml", "1", "big/a.yaml", strings.Repeat("x", 2<<20), "many/a.yaml", "1", "many/b.yaml", "2", "many/c.yaml", "3")
	if err := os.Symlink("/etc/passwd", filepath.Join(r.Work, "ok", "outside.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(r.Work, "folders"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../ok", filepath.Join(r.Work, "folders", "link")); err != nil {
		t.Fatal(err)
	}
	r.Commit()
	r.Git("update-index", "--add", "--cacheinfo", "160000,"+head+",modules/other")
	r.Git("commit", "-q", "-m", "submodule")
	r.Push()
	for name, location := range servers(t, r) {
		for path, says := range map[string]string{
			"ok":           "ok/outside.yaml is a symbolic link, which is not supported",
			"folders":      "folders/link is a symbolic link, which is not supported",
			"folders/link": "folders/link is not a folder",
			"modules":      "modules/other is a submodule",
			"big":          "big/a.yaml: 2097152 bytes is too large; at most 1048576 are allowed",
			"many":         "there are more than 2 manifests",
		} {
			t.Run(name+" "+path, func(t *testing.T) {
				l := location
				l.Path = path
				limits := repository.DefaultLimits()
				limits.Files = 2
				reason := repository.Refused
				if path == "folders/link" {
					reason = repository.NoSuchPath
				}
				fails(t, l, limits, reason, says)
			})
		}
	}
	limits := repository.DefaultLimits()
	limits.Total = 2
	fails(t, repository.Location{URL: r.URL(), Path: "many"}, limits, repository.Refused, "all manifests together are larger than 2 bytes")
}

func TestRead_EnforcesPackLimits(t *testing.T) {
	r := gittest.New(t)
	var base strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&base, "line %d\n", i*7919%60_000)
	}
	// The second file is sent as a delta to the first.
	r.Commit("a.txt", base.String(), "b.txt", base.String()+base.String(), "plan.yaml", "1")
	r.GitBare("repack", "-adq", "--depth=50", "--window=50")
	https := gittest.ServeHTTPS(t, r)
	l := repository.Location{URL: https.URL, Auth: repository.Auth{TokenFile: https.TokenFile, CAFile: https.CAFile}}
	if _, files := mustRead(t, l); files != "plan.yaml=1;" {
		t.Errorf("got %s", files)
	}
	limit := func(change func(*repository.Limits)) repository.Limits {
		limits := repository.DefaultLimits()
		change(&limits)
		return limits
	}
	size := len(base.String())
	fails(t, l, limit(func(l *repository.Limits) { l.Pack = 1000 }), repository.Refused, "sent too many bytes")
	fails(t, l, limit(func(l *repository.Limits) { l.Objects = 3 }), repository.Refused, "has 5 objects; at most 3")
	fails(t, l, limit(func(l *repository.Limits) { l.Object = int64(size) + 1 }), repository.Refused, fmt.Sprintf("of %d bytes", 2*size))
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "upgrade-controller-pack-") {
			t.Errorf("%s was not removed", e.Name())
		}
	}
}

func TestRead_CredentialErrors(t *testing.T) {
	r := gittest.New(t)
	r.Commit("a.yaml", "1")
	ways := servers(t, r)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	otherKey := filepath.Join(dir, "other_key")
	public := gittest.MakeKey(t, otherKey)
	known, err := os.ReadFile(ways["ssh"].Auth.KnownHostsFile)
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(string(known), " ")
	for name, tc := range map[string]struct {
		way    string
		change func(*repository.Location)
		reason repository.Reason
		says   string
	}{
		"wrong token": {"https", func(l *repository.Location) { l.Auth.TokenFile = file("wrong", "wrong") },
			repository.Unreachable, "the server rejected the credentials"},
		"no token":    {"https", func(l *repository.Location) { l.Auth.TokenFile = "" }, repository.Unreachable, "the server rejected the credentials"},
		"empty token": {"https", func(l *repository.Location) { l.Auth.TokenFile = file("empty", "\n") }, repository.Misconfigured, "is empty"},
		"missing token file": {"https", func(l *repository.Location) { l.Auth.TokenFile = dir + "/none" },
			repository.Misconfigured, "auth.tokenFile: open"},
		"another CA":         {"https", func(l *repository.Location) { l.Auth.CAFile = "" }, repository.Unreachable, "certificate signed by unknown authority"},
		"invalid CA":         {"https", func(l *repository.Location) { l.Auth.CAFile = file("ca", "nonsense") }, repository.Misconfigured, "contains no certificate"},
		"missing repository": {"https", func(l *repository.Location) { l.URL += "x" }, repository.Unreachable, "repository not found"},
		"unknown host": {"ssh", func(l *repository.Location) { l.Auth.KnownHostsFile = file("unknown", "") },
			repository.Unreachable, "auth.knownHostsFile: no key for 127.0.0.1:"},
		"host with another key": {"ssh", func(l *repository.Location) { l.Auth.KnownHostsFile = file("changed", host+" "+public) },
			repository.Unreachable, "has changed"},
		"unauthorized key": {"ssh", func(l *repository.Location) { l.Auth.SSHKeyFile = otherKey },
			repository.Unreachable, "unable to authenticate"},
		"invalid key": {"ssh", func(l *repository.Location) { l.Auth.SSHKeyFile = file("nokey", "nonsense") },
			repository.Misconfigured, "must be a private key without a passphrase"},
		"missing repository on the host": {"ssh", func(l *repository.Location) { l.URL += "x" },
			repository.Unreachable, "does not appear to be a git repository"},
		"missing folder": {"file", func(l *repository.Location) { l.URL += "x" }, repository.Unreachable, "is not a Git repository"},
	} {
		t.Run(name, func(t *testing.T) {
			l := ways[tc.way]
			tc.change(&l)
			fails(t, l, repository.DefaultLimits(), tc.reason, tc.says)
			if _, _, err := read(t, l, repository.DefaultLimits()); err != nil && strings.Contains(err.Error(), gittest.Token) {
				t.Error("the error contains the token")
			}
		})
	}
}

func TestRead_DoesNotSendTokenToRedirectTarget(t *testing.T) {
	r := gittest.New(t)
	r.Commit("a.yaml", "1")
	https := gittest.ServeHTTPS(t, r)
	seen := make(chan string, 10)
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		seen <- request.Header.Get("Authorization")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer elsewhere.Close()
	redirecting := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, elsewhere.URL+request.URL.String(), http.StatusFound)
	}))
	defer redirecting.Close()
	l := repository.Location{URL: redirecting.URL + "/fleet.git", Auth: repository.Auth{TokenFile: https.TokenFile, CAFile: https.CAFile}}
	fails(t, l, repository.DefaultLimits(), repository.Unreachable, "the server rejected the credentials")
	if got := <-seen; got != "" {
		t.Errorf("the other host got %q", got)
	}
}

// The server accepts connections and never answers.
func TestOpen_EndsWithContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	key := filepath.Join(t.TempDir(), "key")
	gittest.MakeKey(t, key)
	known := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(known, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, l := range []repository.Location{
		{URL: "https://" + listener.Addr().String() + "/x.git"},
		{URL: "ssh://git@" + listener.Addr().String() + "/x.git", Auth: repository.Auth{SSHKeyFile: key, KnownHostsFile: known}},
	} {
		gaveUp := errors.New("gave up")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, gaveUp)
		_, err := repository.Open(ctx, l, repository.DefaultLimits())
		if !errors.Is(err, gaveUp) {
			t.Errorf("%s: %v", l.URL, err)
		}
		cancel()
	}
}

func TestRead_EmptyRepository(t *testing.T) {
	r := gittest.New(t)
	for name, l := range servers(t, r) {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(t, l, repository.DefaultLimits())
			if err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestRead_ErrorHasRevision(t *testing.T) {
	r := gittest.New(t)
	commit := r.Commit("a.yaml", "1")
	_, _, err := read(t, repository.Location{URL: r.URL(), Path: "x"}, repository.DefaultLimits())
	wrong, ok := errors.AsType[*repository.Error](err)
	if !ok {
		t.Fatal(err)
	}
	if d := cmp.Diff("main@sha1:"+commit, wrong.Revision); d != "" {
		t.Error(d)
	}
}
