// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/rollout"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
	"github.com/jiocloud/upgrade-controller/controllers/store/leaderelection"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts")

// nowEnv is the environment variable with the fixed time of the commands in a script.
const nowEnv = "SCRIPT_NOW"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"upgradectl": func() { os.Exit(upgradectl()) },
		"kv":         func() { os.Exit(helper(kv)) },
		"hosts":      func() { os.Exit(helper(hosts)) },
		"controller": func() { os.Exit(helper(controller)) },
	})
}

func scriptNow() time.Time {
	if t, err := time.Parse(time.RFC3339, os.Getenv(nowEnv)); err == nil {
		return t
	}
	return time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)
}

// upgradectl is the real command line with a fixed time, a user, and legacy files in the folder of the script.
func upgradectl() int {
	ctx, stop := cli.NotifyContext(context.Background())
	defer stop()
	o := app.SystemOptions()
	o.Now, o.Who = scriptNow, "alice@desk"
	o.LegacyFiles = []string{"etc/jio-upgrade.json", "etc/jiocloud-upgrade.json"}
	open := o.Open
	o.Open = func(c consul.Config) (store.Store, error) {
		if c.RetryFor == 0 {
			c.RetryFor = 300 * time.Millisecond
		}
		return open(c)
	}
	return app.Main(ctx, os.Args[1:], o)
}

func helper(f func(ctx context.Context, s *consul.Store, args []string) error) int {
	ctx, stop := cli.NotifyContext(context.Background())
	defer stop()
	s, err := consul.New(consul.Config{Token: os.Getenv("SCRIPT_TOKEN")})
	if err == nil {
		err = f(ctx, s, os.Args[1:])
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// kv writes, deletes and prints keys, takes the lock of the writer, and makes checks fail.
func kv(ctx context.Context, s *consul.Store, args []string) error {
	set := func(key string, value []byte) store.Op { return store.Op{Verb: store.Set, Key: key, Value: value} }
	var ops []store.Op
	switch verb, args := args[0], args[1:]; verb {
	case "put": // KEY=VALUE...
		for _, arg := range args {
			key, value, _ := strings.Cut(arg, "=")
			ops = append(ops, set(key, []byte(value)))
		}
	case "governed": // VERSION: current_version as a controller writes it
		ops = append(ops, store.Op{Verb: store.Set, Key: "current_version", Value: []byte(args[0]), Flags: keys.CurrentFlags(1, false)})
	case "putfile":
		data, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		ops = append(ops, set(args[0], data))
	case "putbytes":
		text, err := strconv.Unquote(`"` + args[1] + `"`)
		if err != nil {
			return err
		}
		ops = append(ops, set(args[0], []byte(text)))
	case "records": // VERSION HOST...
		for _, host := range args[1:] {
			ops = append(ops, set("running/versions/"+args[0]+"/"+host, []byte("1772800000")))
		}
	case "delete":
		for _, key := range args {
			ops = append(ops, store.Op{Verb: store.Delete, Key: key})
		}
	case "lock": // HOLDER
		session, err := s.CreateSession(ctx, store.SessionOptions{Name: "script", TTL: time.Hour})
		if err != nil {
			return err
		}
		value := fmt.Sprintf(`{"holder":%q,"since":"2026-03-06T13:00:00Z"}`, args[0])
		ops = append(ops, store.Op{Verb: store.Lock, Key: keys.Leader, Value: []byte(value), Session: session})
	case "register": // HOLDER VERSION, a controller that runs
		session, err := s.CreateSession(ctx, store.SessionOptions{Name: "script", TTL: time.Hour})
		if err != nil {
			return err
		}
		value := fmt.Sprintf(`{"schema":1,"name":%q,"version":%q,"since":"2026-03-06T12:00:00Z"}`, args[0], args[1])
		ops = append(ops, store.Op{Verb: store.Lock, Key: keys.Controllers + session, Value: []byte(value), Session: session})
	case "check": // ID STATUS, warning or critical, of the Consul's node
		return fail(ctx, s, args[0], args[1])
	case "show", "indexes": // PREFIX
		pairs, _, err := s.List(ctx, strings.Join(args, ""))
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if verb == "indexes" {
				fmt.Printf("%s %d\n", p.Key, p.ModifyIndex)
			} else {
				fmt.Printf("%s = %q\n", p.Key, p.Value)
			}
		}
		return nil
	default:
		return fmt.Errorf("unknown verb %q", verb)
	}
	_, err := s.Txn(ctx, ops)
	return err
}

// fail creates a check that does not pass, and waits until the catalog has it.
func fail(ctx context.Context, s *consul.Store, id, status string) error {
	if err := s.SetCheck(ctx, id, time.Hour, status, ""); err != nil {
		return err
	}
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		bad, _, err := s.Unhealthy(ctx)
		if err != nil || slices.ContainsFunc(bad, func(c fleet.Check) bool {
			return c.ID == id && (string(c.Status) == status || c.Status == fleet.Maintenance)
		}) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hosts is a fleet of legacy hosts: each host that may upgrade does, until the script stops it.
func hosts(ctx context.Context, s *consul.Store, _ []string) error {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		o, err := planstore.ObserveFleet(ctx, s, keys.Layout{}, scriptNow())
		if err != nil {
			return err
		}
		for _, v := range o.Decision.Verdicts {
			host, _ := o.Fleet.Host(v.Host)
			if v.Base != rollout.Upgrading || o.Fleet.Current.Name == "" {
				continue
			}
			ops := []store.Op{{Verb: store.Set, Key: o.Layout.Record(o.Fleet.Current.Name, v.Host), Value: []byte("1772805600")}}
			if old := host.Record.Version; old != "" {
				ops = append(ops, store.Op{Verb: store.Delete, Key: o.Layout.Record(old, v.Host)})
			}
			if _, err := s.Txn(ctx, ops); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// controller leads as upgrade-controller would, until the script stops it.
func controller(ctx context.Context, s *consul.Store, _ []string) error {
	lease, err := leaderelection.Acquire(ctx, s, keys.Leader, "upgrade-controller on test", leaderelection.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = lease.Release() }()
	r := upgradeplan.Reconciler{Store: s, Session: lease.Session(), Now: scriptNow, Log: logr.Discard()}
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		plans, err := planstore.Plans{Store: s}.List(ctx)
		if err != nil {
			return err
		}
		for _, p := range plans {
			if _, err := r.Reconcile(ctx, p.Name); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestScripts(t *testing.T) {
	binary := consultest.Binary(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// Under the race detector a process waits a second before it ends, unless GORACE says otherwise.
			env.Vars = append(env.Vars, "USER=alice", "CONSUL_HTTP_ADDR=127.0.0.1:1", "GORACE=atexit_sleep_ms=0")
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"consul": func(ts *testscript.TestScript, _ bool, args []string) { startConsul(ts, binary, args) },
			"fake":   fakeConsul,
			"deaf":   deafConsul,
			"tidy":   tidy,
			"wait-for": func(ts *testscript.TestScript, neg bool, args []string) {
				waitFor(ts, neg, args)
			},
		},
	})
}

// condition reports whether the package bash-completion is installed. If CI=true, a missing package is an error.
func condition(name string) (bool, error) {
	if name != "bash-completion" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	const file = "/usr/share/bash-completion/bash_completion"
	found := testtool.FileFound(file)
	if !found && os.Getenv("CI") == "true" {
		return false, fmt.Errorf("%s is missing", file)
	}
	return found, nil
}

// startConsul runs a Consul for the script. A token enables ACLs.
func startConsul(ts *testscript.TestScript, binary string, args []string) {
	o := consuldev.Options{Binary: binary}
	if len(args) > 0 {
		o.ManagementToken = args[0]
		ts.Setenv("SCRIPT_TOKEN", args[0])
	}
	a, err := consuldev.Start(context.Background(), o)
	ts.Check(err)
	ts.Defer(func() { ts.Check(a.Stop()) })
	ts.Setenv("CONSUL_HTTP_ADDR", a.Addr())
}

// fakeConsul answers each request with a status and a text.
func fakeConsul(ts *testscript.TestScript, _ bool, args []string) {
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, args[1], code)
	}))
	ts.Defer(server.Close)
	ts.Setenv("CONSUL_HTTP_ADDR", server.Listener.Addr().String())
}

// deafConsul accepts connections and answers nothing.
func deafConsul(ts *testscript.TestScript, _ bool, _ []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ts.Check(listener.Close()) })
	ts.Setenv("CONSUL_HTTP_ADDR", listener.Addr().String())
}

// waitFor waits until a key exists.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	s, err := consul.New(consul.Config{Address: ts.Getenv("CONSUL_HTTP_ADDR"), Token: ts.Getenv("SCRIPT_TOKEN")})
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		pairs, _, err := s.Get(ctx, args[0])
		ts.Check(err)
		if pairs[0].Exists() && (len(args) < 2 || strings.Contains(string(pairs[0].Value), args[1])) &&
			(args[0] != keys.Leader || pairs[0].Session != "") {
			return
		}
		<-tick.C
	}
}

// tidy copies a stream or file to the file out, and replaces values that differ from run to run.
func tidy(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, r := range []struct{ pattern, with string }{
		{`127\.0\.0\.1:\d+`, "ADDR"}, {`index \d+`, "index N"}, {`"?modifyIndex"?: \d+`, "modifyIndex: N"}, {`pid \d+`, "pid N"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(text), 0o600))
}
