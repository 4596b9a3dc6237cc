// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Owners are the users and groups that may change files, besides root, the user of the process, and the group root.
type Owners struct{ Users, Groups []uint32 }

// Error reports a file or directory that another user can change.
type Error struct {
	// Path is the file or directory. It may be above the path that was checked.
	Path string
	// Problem says who can change it, with mode and owner. Fix is the command that prevents that.
	Problem, Fix string
}

func (e *Error) Error() string { return e.Path + ": " + e.Problem + "; fix it with: " + e.Fix }

// Check returns an *Error if another user can change the file or directory, or replace it or a directory or link on the way to
// it. A directory with the sticky bit, as /tmp, protects the entries of trusted owners.
//
// After a check the path is safe to open or to run: an untrusted user can change no part of it, so nothing can happen in between.
func (o Owners) Check(path string) error {
	_, _, err := o.resolve(path)
	return err
}

// CheckDirectory is Check for a directory whose entries count: it must not let others create files, even with the sticky bit.
func (o Owners) CheckDirectory(path string) error {
	resolved, info, err := o.resolve(path)
	if err != nil {
		return err
	}
	return o.check(resolved, info, false)
}

// CheckOpened returns an error if an open file is not a regular one, or an *Error if another user can change it. It does not check
// the directories on the way to it.
func (o Owners) CheckOpened(file *os.File) error {
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", file.Name())
	}
	if err != nil {
		return err
	}
	return o.check(file.Name(), info, false)
}

// CheckTree checks a file, or a directory with all that is in it.
func (o Owners) CheckTree(path string) error {
	resolved, info, err := o.resolve(path)
	if err != nil || !info.IsDir() {
		return err
	}
	return filepath.WalkDir(resolved, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return o.CheckDirectory(path)
		}
		return o.Check(path)
	})
}

// maxFile is the most that ReadFile reads. It is more than any configuration, template or manifest needs.
const maxFile = 4 << 20

// ReadFile reads a regular file. It opens the file once and checks what it opened.
func (o Owners) ReadFile(path string) ([]byte, error) {
	resolved, _, err := o.resolve(path)
	if err != nil {
		return nil, err
	}
	// O_NONBLOCK so that a pipe does not block before it is refused.
	file, err := os.OpenFile(resolved, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := o.CheckOpened(file); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s: more than %d bytes", path, maxFile)
	}
	return data, err
}

// maxLinks is how many symbolic links a path may have, as in Linux.
const maxLinks = 40

// resolve checks every directory from the root on, follows links, and checks the last element. It returns the path without
// links. If an element is missing, the error matches fs.ErrNotExist, and the elements before it were checked.
func (o Owners) resolve(path string) (resolved string, last fs.FileInfo, err error) {
	if !filepath.IsAbs(path) { // not filepath.Abs: it removes .. without regard to links
		wd, err := os.Getwd()
		if err != nil {
			return "", nil, err
		}
		path = wd + string(filepath.Separator) + path
	}
	resolved = string(filepath.Separator)
	if last, err = os.Lstat(resolved); err == nil {
		err = o.check(resolved, last, true)
	}
	rest, links := split(path), 0
	for err == nil && len(rest) > 0 {
		var next string
		next, rest = rest[0], rest[1:]
		next = filepath.Join(resolved, next) // resolved has no links, so .. is the directory above
		if last, err = os.Lstat(next); err != nil {
			return "", nil, &fs.PathError{Op: "open", Path: path, Err: withoutPath(err)}
		}
		if last.Mode()&fs.ModeSymlink == 0 {
			resolved, err = next, o.check(next, last, len(rest) > 0 || last.IsDir())
			continue
		}
		if links++; links > maxLinks {
			return "", nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		var target string
		if target, err = o.readLink(next, last); filepath.IsAbs(target) {
			resolved = string(filepath.Separator)
		}
		rest = append(split(target), rest...)
	}
	if err == nil && last.Mode()&fs.ModeSymlink != 0 { // it leads to the root
		last, err = os.Lstat(resolved)
	}
	return resolved, last, err
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// readLink reads a link. Links have no mode: the owner of one in a directory with the sticky bit can replace it.
func (o Owners) readLink(path string, info fs.FileInfo) (string, error) {
	if uid, gid := owners(info); !o.trustsUser(uid) {
		return "", &Error{path, fmt.Sprintf("owner %s of the link can change it", names(uid, gid)),
			"chown -h root:root " + path}
	}
	return os.Readlink(path)
}

// withoutPath drops the path of an element from an error.
func withoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// check checks the owner and the mode. If sticky, a directory in which others may only create files is fine.
func (o Owners) check(path string, info fs.FileInfo, sticky bool) error {
	uid, gid := owners(info)
	mode := info.Mode()
	problem := func(who, fix string) error {
		return &Error{path, fmt.Sprintf("mode %04o, owner %s: %s can change it", octal(mode), names(uid, gid), who), fix + " " + path}
	}
	switch {
	case !o.trustsUser(uid):
		return problem("its owner", "chown root:root")
	case sticky && mode.IsDir() && mode&fs.ModeSticky != 0:
		return nil
	case mode&0o002 != 0:
		return problem("every user", "chmod go-w")
	case mode&0o020 != 0 && gid != 0 && !slices.Contains(o.Groups, gid):
		return problem("its group", "chmod g-w")
	case mode&0o020 != 0 && hasACL(path): // the bits of the group are then the most that any named user has
		return problem("a user of its access list", "setfacl -b")
	}
	return nil
}

func (o Owners) trustsUser(uid uint32) bool {
	return uid == 0 || int(uid) == os.Geteuid() || slices.Contains(o.Users, uid)
}

// owners returns the user and the group of a file. Of a system without them it returns the user of the process.
func owners(info fs.FileInfo) (uid, gid uint32) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Uid, s.Gid
	}
	return uint32(os.Geteuid()), uint32(os.Getegid()) //nolint:gosec // they are never negative where there are users
}

// octal is the mode as chmod takes it.
func octal(mode fs.FileMode) fs.FileMode {
	bits := mode.Perm()
	for flag, bit := range map[fs.FileMode]fs.FileMode{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&flag != 0 {
			bits |= bit
		}
	}
	return bits
}

// names returns the names of the owner as user:group, or their numbers.
func names(uid, gid uint32) string {
	owner, group := strconv.FormatUint(uint64(uid), 10), strconv.FormatUint(uint64(gid), 10)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return owner + ":" + group
}
