// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jiocloud/upgrade-controller/controllers/agent/trust"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// attacker is a user and a group without privileges. friend is another one, which the configuration trusts.
const attacker, friend = 4322, 4321

// tree has the file dir/file, and changes what the test wants.
type tree struct {
	t              *testing.T
	top, dir, file string
}

func newTree(t *testing.T) tree {
	t.Helper()
	top := t.TempDir()
	f := tree{t, top, filepath.Join(top, "dir"), filepath.Join(top, "dir", "file")}
	f.must(os.Mkdir(f.dir, 0o755))
	f.must(os.WriteFile(f.file, []byte("text"), 0o644))
	return f
}

func (f tree) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f tree) mode(path string, mode fs.FileMode) { f.t.Helper(); f.must(os.Chmod(path, mode)) }
func (f tree) owner(path string, uid, gid int)    { f.t.Helper(); f.must(os.Lchown(path, uid, gid)) }

// link makes a link to the file in a new directory of the mode, and returns its path.
func (f tree) link(target string, mode fs.FileMode) string {
	f.t.Helper()
	dir := filepath.Join(f.top, "links")
	f.must(os.Mkdir(dir, 0o755))
	f.mode(dir, mode)
	path := filepath.Join(dir, "link")
	f.must(os.Symlink(target, path))
	return path
}

func TestCheck_AcceptsFilesThatOnlyTrustedUsersCanChange(t *testing.T) {
	testtool.NeedRoot(t, "changes the owners of files")
	for name, change := range map[string]func(f tree) (path string){
		"default":                      func(f tree) string { return f.file },
		"for root alone":               func(f tree) string { f.mode(f.file, 0o600); f.mode(f.dir, 0o700); return f.file },
		"set-user-id":                  func(f tree) string { f.mode(f.file, 0o4755|fs.ModeSetuid); return f.file },
		"writable by the group root":   func(f tree) string { f.mode(f.file, 0o664); f.mode(f.dir, 0o775); return f.file },
		"a group that cannot write":    func(f tree) string { f.owner(f.file, 0, attacker); return f.file },
		"a trusted owner":              func(f tree) string { f.owner(f.file, friend, friend); return f.file },
		"a trusted group":              func(f tree) string { f.owner(f.dir, 0, friend); f.mode(f.dir, 0o775); return f.file },
		"below a directory as /tmp":    func(f tree) string { f.mode(f.dir, 0o777|fs.ModeSticky); return f.file },
		"a link":                       func(f tree) string { return f.link(f.file, 0o755) },
		"a relative link":              func(f tree) string { return f.link("../dir/../dir/file", 0o755) },
		"a link in a directory as tmp": func(f tree) string { return f.link(f.file, 0o777|fs.ModeSticky) },
		"a directory":                  func(f tree) string { return f.dir },
		"the root":                     func(tree) string { return "/" },
		"a link to the root":           func(f tree) string { return f.link("/", 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			path := change(newTree(t))
			if err := (trust.Owners{Users: []uint32{friend}, Groups: []uint32{friend}}).Check(path); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheck_RefusesFilesThatOthersCanChange(t *testing.T) {
	testtool.NeedRoot(t, "changes the owners of files")
	for name, tt := range map[string]struct {
		change func(f tree) (path string)
		// want has FILE, DIR and LINK in place of paths.
		want string
	}{
		"mode 0666": {func(f tree) string { f.mode(f.file, 0o666); return f.file },
			"FILE: mode 0666, owner root:root: every user can change it; fix it with: chmod go-w FILE"},
		"another owner": {func(f tree) string { f.owner(f.file, attacker, 0); return f.file },
			"FILE: mode 0644, owner 4322:root: its owner can change it; fix it with: chown root:root FILE"},
		"an owner without a name": {func(f tree) string { f.owner(f.file, friend, friend); return f.file },
			"FILE: mode 0644, owner 4321:4321: its owner can change it; fix it with: chown root:root FILE"},
		"another group": {func(f tree) string { f.owner(f.file, 0, attacker); f.mode(f.file, 0o664); return f.file },
			"FILE: mode 0664, owner root:4322: its group can change it; fix it with: chmod g-w FILE"},
		"an access list": {func(f tree) string { setACL(f.t, f.file); return f.file }, "FILE: mode 0664, owner root:root: a user of its access list can " +
			"change it; fix it with: setfacl -b FILE"},
		"the directory is writable": {func(f tree) string { f.mode(f.dir, 0o777); return f.file },
			"DIR: mode 0777, owner root:root: every user can change it; fix it with: chmod go-w DIR"},
		"the directory of the group": {func(f tree) string { f.owner(f.dir, 0, attacker); f.mode(f.dir, 0o2775|fs.ModeSetgid); return f.file },
			"DIR: mode 2775, owner root:4322: its group can change it; fix it with: chmod g-w DIR"},
		"the directory has another owner": {func(f tree) string { f.owner(f.dir, attacker, 0); return f.file },
			"DIR: mode 0755, owner 4322:root: its owner can change it; fix it with: chown root:root DIR"},
		"the attacker's file in a directory as /tmp": {func(f tree) string {
			f.mode(f.dir, 0o777|fs.ModeSticky)
			f.owner(f.file, attacker, attacker)
			return f.file
		}, "FILE: mode 0644, owner 4322:4322: its owner can change it; fix it with: chown root:root FILE"},
		"a link to it": {func(f tree) string { f.mode(f.file, 0o666); return f.link("../dir/file", 0o755) },
			"FILE: mode 0666, owner root:root: every user can change it; fix it with: chmod go-w FILE"},
		"the attacker's link": {func(f tree) string {
			link := f.link(f.file, 0o777|fs.ModeSticky)
			f.owner(link, attacker, attacker)
			return link
		}, "LINK: owner 4322:4322 of the link can change it; fix it with: chown -h root:root LINK"},
		"a link in a writable directory": {func(f tree) string { return f.link(f.file, 0o777) }, "links: mode 0777, owner root:root: every user can change it"},
		"a file that is missing in a writable directory": {func(f tree) string { f.mode(f.dir, 0o777); f.must(os.Remove(f.file)); return f.file },
			"DIR: mode 0777, owner root:root: every user can change it; fix it with: chmod go-w DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTree(t)
			path := tt.change(f)
			err := (trust.Owners{}).Check(path)
			if _, ok := errors.AsType[*trust.Error](err); !ok {
				t.Fatalf("got %v, want an error of trust", err)
			}
			want := strings.NewReplacer("FILE", f.file, "DIR", f.dir, "LINK", path).Replace(tt.want)
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
			if data, err := (trust.Owners{}).ReadFile(path); err == nil {
				t.Errorf("ReadFile returned %q", data)
			}
		})
	}
}

// setACL lets the attacker write a file by a POSIX access list. The group that stat shows is root's.
func setACL(t *testing.T, path string) {
	t.Helper()
	entry := func(tag, rights byte, id uint32) string {
		return string([]byte{tag, 0, rights, 0, byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)})
	}
	const none = 1<<32 - 1
	text := "\x02\x00\x00\x00" + entry(1, 6, none) + entry(2, 6, attacker) + entry(4, 4, none) + entry(16, 6, none) + entry(32, 4, none)
	err := unix.Setxattr(path, "system.posix_acl_access", []byte(text), 0)
	testtool.NeedCondition(t, !errors.Is(err, unix.ENOTSUP), "access lists in the file system of "+path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o664 {
		t.Fatalf("mode %v, error %v", info.Mode(), err)
	}
}

func TestCheck_ReportsMissingFiles(t *testing.T) {
	f := newTree(t)
	loop := filepath.Join(f.top, "loop")
	f.must(os.Symlink(loop, loop))
	for path, want := range map[string]error{f.file + "s": fs.ErrNotExist, filepath.Join(f.file, "x"): syscall.ENOTDIR, loop: syscall.ELOOP} {
		if err := (trust.Owners{}).Check(path); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestReadFile_RefusesWhatIsNotAFile(t *testing.T) {
	f := newTree(t)
	pipe := filepath.Join(f.dir, "pipe")
	f.must(syscall.Mkfifo(pipe, 0o644))
	for _, path := range []string{pipe, f.dir, "/dev/null"} {
		if data, err := (trust.Owners{}).ReadFile(path); err == nil {
			t.Errorf("%s: read %q", path, data)
		}
	}
	if data, err := (trust.Owners{}).ReadFile(f.file); err != nil || string(data) != "text" {
		t.Errorf("read %q, error %v", data, err)
	}
}

func TestCheckTree_ChecksAllEntries(t *testing.T) {
	f := newTree(t)
	if err := (trust.Owners{}).CheckTree(f.top); err != nil {
		t.Error(err)
	}
	f.mode(f.file, 0o666)
	if err := (trust.Owners{}).CheckTree(f.top); err == nil || !strings.Contains(err.Error(), f.file) {
		t.Errorf("a file of mode 0666: %v", err)
	}
	f.mode(f.file, 0o644)
	f.mode(f.dir, 0o777|fs.ModeSticky)
	if err := (trust.Owners{}).CheckTree(f.top); err == nil || !strings.Contains(err.Error(), f.dir) {
		t.Errorf("a directory in which others can create files: %v", err)
	}
}
