// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// attackerID is the user and the group of the attacker. No file of the test belongs to them.
const attackerID = 65534

// attack runs a script as a user without privileges, and fails the test unless the script succeeds.
func attack(t *testing.T, script string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-ec", script)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: attackerID, Gid: attackerID}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the attack %q failed: %v\n%s", script, err, out)
	}
}

// reachable lets all users enter the directories above path.
func reachable(t *testing.T, path string) {
	t.Helper()
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A user without privileges replaces what the agent, as root, reads or runs. Each row first changes the file in that user's name.
func TestTrust_RefusesWhatAnotherUserCanWrite(t *testing.T) {
	testtool.NeedRoot(t, "attacks root's files as another user")
	consul := newHost(t, "v1", "")
	consul.set("current_version", "v2", enable, "True")
	for _, tt := range []struct {
		// step is the one that fails. Empty means that the agent does not start.
		name, step string
		// open makes a mistake with the rights of a file. It returns the file, the mode that the agent names, and the fix.
		open func(f trusted) (path, mode, fix string)
	}{
		{"configuration", "", func(f trusted) (string, string, string) {
			chmod(t, f.config, 0o666)
			attack(t, "text=$(sed s,"+f.hook+","+f.evil+", "+f.config+"); echo \"$text\" > "+f.config)
			return f.config, "0666", "chmod go-w " + f.config
		}},
		{"directory of the configuration", "", func(f trusted) (string, string, string) {
			chmod(t, f.etc, 0o777)
			attack(t, "sed s,"+f.hook+","+f.evil+", "+f.config+" > "+f.etc+"/new; mv -f "+f.etc+"/new "+f.config)
			return f.etc, "0777", "chmod go-w " + f.etc
		}},
		{"hook", "preHook", func(f trusted) (string, string, string) {
			chmod(t, f.hook, 0o777)
			attack(t, "cat "+f.evil+" > "+f.hook)
			return f.hook, "0777", "chmod go-w " + f.hook
		}},
		{"directory of hooks", "preHook", func(f trusted) (string, string, string) {
			chmod(t, filepath.Dir(f.hook), 0o757)
			attack(t, "rm "+f.hook+"; cp "+f.evil+" "+f.hook)
			return filepath.Dir(f.hook), "0757", "chmod go-w " + filepath.Dir(f.hook)
		}},
		{"template", "", func(f trusted) (string, string, string) {
			chmod(t, f.template, 0o666)
			attack(t, "echo 'Types: deb # of the attacker' > "+f.template)
			return f.template, "0666", "chmod go-w " + f.template
		}},
		{"manifest", "puppet", func(f trusted) (string, string, string) {
			chmod(t, f.manifest, 0o622)
			attack(t, "cat "+f.evil+" > "+f.manifest)
			return f.manifest, "0622", "chmod go-w " + f.manifest
		}},
		{"token", "", func(f trusted) (string, string, string) {
			chmod(t, f.token, 0o622)
			attack(t, "echo 6f5a4c4e-93cb-4f4c-a6ad-8c1d1a0c7a11 > "+f.token)
			return f.token, "0622", "chmod go-w " + f.token
		}},
		{"validation script", "validation", func(f trusted) (string, string, string) {
			chmod(t, f.validation, 0o777)
			attack(t, "cat "+f.evil+" > "+f.validation)
			return f.validation, "0777", "chmod go-w " + f.validation
		}},
		{"version file", "", func(f trusted) (string, string, string) {
			chmod(t, f.version, 0o666)
			attack(t, "echo v2 > "+f.version)
			return f.version, "0666", "chmod go-w " + f.version
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newTrusted(t, consul)
			path, mode, fix := tt.open(f)
			code, _, errs := run(t, agent(t, "once", "--config", f.config))
			if _, err := os.Stat(f.owned); err == nil || strings.Contains(read(t, f.sources), "attacker") {
				t.Errorf("the attacker's text was used as root:\n%s", errs)
			}
			if code == 0 || !strings.Contains(errs, path) || !strings.Contains(errs, mode) || !strings.Contains(errs, fix) {
				t.Errorf("exit code %d, want %s with %s and %q:\n%s", code, path, mode, fix, errs)
			}
			for line := range strings.Lines(errs) {
				if strings.Count(line, "fix") > 1 {
					t.Errorf("a message says twice how to correct it: %s", line)
				}
			}
			if tt.step != "" && !strings.Contains(errs, `"step": "`+tt.step+`", "error": "`) {
				t.Errorf("the agent does not say at start that step %s would fail:\n%s", tt.step, errs)
			}
		})
	}
	t.Run("readable token and a certificate of another user", func(t *testing.T) {
		f := newTrusted(t, consul)
		chmod(t, f.token, 0o644)
		if err := os.Chown(f.evil, attackerID, attackerID); err != nil {
			t.Fatal(err)
		}
		cmd := agent(t, "once", "--config", f.config, "--http-addr", "http://"+consul.addr)
		cmd.Env = append(cmd.Env, "CONSUL_CAPATH="+filepath.Dir(f.evil))
		_, _, errs := run(t, cmd)
		if !strings.Contains(errs, "every user can read the token of this host; fix it with: chmod o-r "+f.token) ||
			!strings.Contains(errs, "another user can change the connection to Consul: "+filepath.Dir(f.evil)+": mode 0777") {
			t.Errorf("no warnings:\n%s", errs)
		}
	})
	t.Run("JWT of a login", func(t *testing.T) {
		f := newTrusted(t, consul)
		jwt := filepath.Join(f.etc, "jwt")
		if err := os.WriteFile(jwt, []byte("jwt"), 0o600); err != nil {
			t.Fatal(err)
		}
		login := []string{"once", "--config", f.config, "--login-auth-method", "machines", "--login-bearer-token-file", jwt}
		chmod(t, jwt, 0o644)
		if _, _, errs := run(t, agent(t, login...)); !strings.Contains(errs, "every user can read the token of this host; fix it with: chmod o-r "+jwt) {
			t.Errorf("no warning:\n%s", errs)
		}
		chmod(t, jwt, 0o622)
		if code, _, errs := run(t, agent(t, login...)); code == 0 || !strings.Contains(errs, "fix it with: chmod go-w "+jwt) {
			t.Errorf("exit code %d:\n%s", code, errs)
		}
		config := strings.Replace(read(t, f.config), "consul: {", "consul: {login: {authMethod: machines, bearerTokenFile: "+jwt+"}, ", 1)
		if err := os.WriteFile(f.config, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := run(t, agent(t, "once", "--config", f.config)); code == 0 || !strings.Contains(errs, "fix it with: chmod go-w "+jwt) {
			t.Errorf("by the configuration: exit code %d:\n%s", code, errs)
		}
	})
	t.Run("a sane installation", func(t *testing.T) {
		f := newTrusted(t, consul)
		chmod(t, f.hook, 0o775) // writable by root's group
		code, _, errs := run(t, agent(t, "once", "--config", f.config))
		if code != 0 || read(t, f.version) != "v2\n" || strings.Contains(errs, "can change") || strings.Contains(errs, "can read") {
			t.Errorf("exit code %d, version %q:\n%s", code, read(t, f.version), errs)
		}
		consul.set("current_version", "v3", enable, "True")
		if r := consul.report(""); r.Phase != fleet.PhaseIdle || r.Version != "v2" {
			t.Errorf("report %+v", r)
		}
	})
}

// The field trust is about programs. The version file and the state beside it say what the agent runs.
func TestTrust_DoesNotCoverTheState(t *testing.T) {
	testtool.NeedRoot(t, "attacks root's files as another user")
	trustedUser, err := user.LookupId(strconv.Itoa(attackerID))
	if err != nil {
		t.Fatal(err)
	}
	consul := newHost(t, "v1", "")
	consul.set("current_version", "v2", enable, "True")
	for name, tt := range map[string]struct {
		open func(f trusted) (path string, err error)
	}{
		"version file": {func(f trusted) (string, error) { return f.version, os.Chown(f.version, attackerID, attackerID) }},
		"directory of the state": {func(f trusted) (string, error) {
			return filepath.Dir(f.version), os.Chown(filepath.Dir(f.version), attackerID, attackerID)
		}},
		"directory of the state as /tmp": {func(f trusted) (string, error) {
			chmod(t, filepath.Dir(f.version), 0o777|os.ModeSticky)
			attack(t, `echo '{"version":"v2","from":"v1","step":"validation","steps":["preHook","sources","puppet","validation"]}' > `+f.version+".journal")
			return filepath.Dir(f.version), nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newTrusted(t, consul)
			path, err := tt.open(f)
			if err == nil {
				err = os.WriteFile(f.config, []byte(read(t, f.config)+"trust: {users: ["+trustedUser.Username+"]}\n"), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			code, _, errs := run(t, agent(t, "once", "--config", f.config))
			if code == 0 || !strings.Contains(errs, path+": mode ") || read(t, f.version) != "v1\n" {
				t.Errorf("exit code %d, version %q:\n%s", code, read(t, f.version), errs)
			}
		})
	}
}

// Any user who can open a file can lock it.
func TestLock_CannotBeTakenByAnotherUser(t *testing.T) {
	testtool.NeedRoot(t, "attacks root's files as another user")
	testtool.Need(t, "flock")
	h := newHost(t, "v1", "exit 0")
	h.set("current_version", "v1")
	reachable(t, h.version)
	chmod(t, h.version, 0o644)
	if err := os.WriteFile(h.version+".lock", nil, 0o644); err != nil { // of the previous release
		t.Fatal(err)
	}
	if code, _, errs := run(t, h.command("once")); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, errs)
	}
	cmd := exec.Command("/bin/sh", "-c", "for f in $(find "+filepath.Dir(h.version)+" 2>/dev/null); do flock -n $f -c 'echo locked; sleep 1000' 2>/dev/null & done; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: attackerID, Gid: attackerID}, Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	if n, err := out.Read(make([]byte, 6)); n != 6 { // one file at least: the version is no secret
		t.Fatalf("the attacker locked nothing: %v", err)
	}
	for range 3 {
		if code, _, errs := run(t, h.command("once")); code != 0 {
			t.Fatalf("another user keeps the agent from starting: exit code %d:\n%s", code, errs)
		}
	}
}

func TestLock_RefusesWhatAnotherUserCanChange(t *testing.T) {
	testtool.NeedRoot(t, "changes the owners of files")
	h := newHost(t, "v1", "exit 0")
	h.set("current_version", "v1")
	lock := h.version + ".lock"
	for name, change := range map[string]func() error{
		"a file of another user": func() error {
			return errors.Join(os.WriteFile(lock, nil, 0o600), os.Chown(lock, attackerID, attackerID))
		},
		"a file that all can write": func() error { return errors.Join(os.WriteFile(lock, nil, 0o600), os.Chmod(lock, 0o666)) },
		"a link":                    func() error { return os.Symlink("/etc/passwd", lock) },
		"a link to a missing file":  func() error { return os.Symlink(lock+".target", lock) },
		"a directory":               func() error { return os.Mkdir(lock, 0o700) },
		"a pipe":                    func() error { return syscall.Mkfifo(lock, 0o600) },
	} {
		if err := errors.Join(os.RemoveAll(lock), change()); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := run(t, h.command("once")); code == 0 || !strings.Contains(errs, lock) {
			t.Errorf("%s: exit code %d:\n%s", name, code, errs)
		}
	}
	if _, err := os.Stat(lock + ".target"); err == nil {
		t.Error("the agent created a file through a link")
	}
	if info, err := os.Stat("/etc/passwd"); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the agent changed the target of a link: %v", info.Mode())
	}
}

// An agent of the previous release locks a file of mode 0644.
func TestLock_ExcludesAnAgentOfThePreviousRelease(t *testing.T) {
	h := newHost(t, "v1", "echo ran >> $log")
	h.set("current_version", "v2", enable, "True")
	previous, err := os.OpenFile(h.version+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err == nil {
		err = syscall.Flock(int(previous.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		t.Fatal(err)
	}
	code, _, errs := run(t, h.command("once"))
	if code == 0 || !strings.Contains(errs, "another upgrade-agent is running") || read(t, h.log) != "" {
		t.Errorf("exit code %d, log %q:\n%s", code, read(t, h.log), errs)
	}
	if err := previous.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, h.command("once")); code != 0 || read(t, h.log) != "ran\n" {
		t.Errorf("exit code %d, log %q:\n%s", code, read(t, h.log), errs)
	}
}

// trusted is an installation of an agent that no other user can write.
type trusted struct {
	etc, config, hook, template, sources, manifest, token, validation, version string
	// evil is a program of the attacker. If root runs it, it creates owned.
	evil, owned string
}

func newTrusted(t *testing.T, h *host) trusted {
	t.Helper()
	dir := t.TempDir()
	path := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	f := trusted{etc: path("etc"), config: path("etc", "config.yaml"), hook: path("bin", "hook"), template: path("etc", "sources.tmpl"),
		sources: path("sources"), manifest: path("puppet", "site.pp"), token: path("etc", "token"), validation: path("tests", "check"),
		version: path("state", "current_version"), evil: path("evil", "evil"), owned: path("evil", "owned")}
	puppet := path("bin", "puppet")
	config := fmt.Sprintf("apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: AgentConfig\nhostname: web1.example.com\nversionFile: %s\n"+
		"consul: {address: %q, tokenFile: %s}\npipeline:\n  preHook: {path: %s}\n  sources: {template: %s, path: %s}\n"+
		"  puppet: {path: %s, manifest: %s}\n  validation: {directory: %s}\n",
		f.version, h.addr, f.token, f.hook, f.template, f.sources, puppet, f.manifest, filepath.Dir(f.validation))
	for _, file := range []struct {
		path, text string
		mode       os.FileMode
	}{
		{f.config, config, 0o644}, {f.hook, "#!/bin/sh\n", 0o755}, {puppet, "#!/bin/sh\nfor last; do :; done; sh $last\n", 0o755},
		{f.template, "Types: deb\n", 0o644}, {f.manifest, ":\n", 0o644}, {f.token, "0f5a4c4e-93cb-4f4c-a6ad-8c1d1a0c7a11\n", 0o600}, {f.validation, "#!/bin/sh\n", 0o755},
		{f.version, "v1\n", 0o644}, {f.evil, "#!/bin/sh\n[ $(id -u) != 0 ] || touch " + f.owned + "\n", 0o755},
	} {
		if err := os.MkdirAll(filepath.Dir(file.path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file.path, []byte(file.text), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	reachable(t, f.etc)
	chmod(t, filepath.Dir(f.evil), 0o777)
	return f
}
