// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// checkFile is the file in a script's directory with the lines of docs/how-to/migrate.md that make maybe-upgrade.sh check its
// permission.
const checkFile = "check-permission.sh"

func TestScripts(t *testing.T) {
	binary := consultest.Binary(t)
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	// Written before any script runs: a fork meanwhile would hold the file open for writing, and Linux executes no such file.
	bin := t.TempDir()
	program := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s \"$@\"\n", asAgent, self)
	if err := os.WriteFile(filepath.Join(bin, "upgrade-agent"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Vars = append(env.Vars, "CONSUL_HTTP_ADDR=127.0.0.1:1", "GORACE=atexit_sleep_ms=0")
			return os.WriteFile(filepath.Join(env.WorkDir, checkFile), []byte(checkLines(t)), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"consul": func(ts *testscript.TestScript, _ bool, args []string) { startConsul(ts, binary, args) },
			"kv":     kv,
			"exits":  exits,
			"check":  waitForCheck,
		},
	})
}

// checkLines returns the lines of docs/how-to/migrate.md that call check-puppet.
func checkLines(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/how-to/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(page), "```sh\n") {
		if lines, _, ok := strings.Cut(block, "```"); ok && strings.Contains(lines, "upgrade-agent check-puppet") {
			return lines
		}
	}
	t.Fatal("docs/how-to/migrate.md has no lines that call check-puppet")
	return ""
}

// startConsul starts a Consul (NODE-NAME [CONFIG...]).
func startConsul(ts *testscript.TestScript, binary string, args []string) {
	a, err := consuldev.Start(context.Background(), consuldev.Options{Binary: binary, Config: "node_name = \"" + args[0] + "\"\n" +
		strings.Join(args[1:], " ")})
	ts.Check(err)
	ts.Defer(func() { ts.Check(a.Stop()) })
	ts.Setenv("CONSUL_HTTP_ADDR", a.Addr())
}

func newStore(ts *testscript.TestScript) *consul.Store {
	s, err := consul.New(consul.Config{Address: ts.Getenv("CONSUL_HTTP_ADDR")})
	ts.Check(err)
	return s
}

// kv runs put KEY=VALUE..., delete KEY..., show PREFIX, or indexes PREFIX.
func kv(ts *testscript.TestScript, _ bool, args []string) {
	s, ctx := newStore(ts), context.Background()
	var ops []store.Op
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch args[0] {
		case "put":
			ops = append(ops, store.Op{Verb: store.Set, Key: key, Value: []byte(value)})
		case "delete":
			ops = append(ops, store.Op{Verb: store.Delete, Key: key})
		default:
			pairs, _, err := s.List(ctx, key)
			ts.Check(err)
			for _, p := range pairs {
				text := fmt.Sprintf(" = %q", p.Value)
				if args[0] == "indexes" {
					text = fmt.Sprintf(" %d", p.ModifyIndex)
				}
				fmt.Fprintln(ts.Stdout(), p.Key+text)
			}
		}
	}
	_, err := s.Txn(ctx, ops)
	ts.Check(err)
}

// exits runs a program (CODE PROGRAM ARG...) and checks its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, err := 0, ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// waitForCheck waits until a check (NODE ID STATUS) has the status in the catalog. The Consul agent syncs it from time to time.
func waitForCheck(ts *testscript.TestScript, _ bool, args []string) {
	s := newStore(ts)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		checks, _, err := s.NodeChecks(ctx, args[0])
		ts.Check(err)
		for _, c := range checks {
			if c.ID == args[1] && c.Status == args[2] {
				return
			}
		}
		<-tick.C
	}
}
