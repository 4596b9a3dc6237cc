// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// shaky is a store that is unavailable while away is set.
type shaky struct {
	*memory.Store
	away atomic.Bool
}

func (s *shaky) fails() error {
	if s.away.Load() {
		return &store.UnavailableError{Address: "127.0.0.1:8500", Err: errors.New("it is away")}
	}
	return nil
}

func (s *shaky) List(ctx context.Context, prefix string) ([]keys.Pair, store.Meta, error) {
	if err := s.fails(); err != nil {
		return nil, store.Meta{}, err
	}
	return s.Store.List(ctx, prefix)
}

func (s *shaky) Get(ctx context.Context, key ...string) ([]keys.Pair, store.Meta, error) {
	if err := s.fails(); err != nil {
		return nil, store.Meta{}, err
	}
	return s.Store.Get(ctx, key...)
}

func (s *shaky) Wait(ctx context.Context, target store.WatchTarget, index uint64, atMost time.Duration) (store.WatchIndex, error) {
	if err := s.fails(); err != nil {
		return store.WatchIndex{}, err
	}
	return s.Store.Wait(ctx, target, index, atMost)
}

// console is the command line in a real pseudo terminal of 80 by 24, with an emulator behind it.
type console struct {
	t      *testing.T
	store  *shaky
	tty    *os.File // the command's side
	person *os.File // the operator's side
	screen *vt.Emulator
	mu     sync.Mutex
	raw    bytes.Buffer // all that the command wrote
	before *term.State
	stop   context.CancelFunc
	ended  chan int
	read   chan struct{} // closed when the emulator has all output of the command
	err    bytes.Buffer
}

// newConsole starts a command with a fleet of three hosts, one of which has the version of the plan.
func newConsole(t *testing.T, env map[string]string, args ...string) *console {
	t.Helper()
	x := &console{t: t, store: &shaky{Store: memory.New(scriptNow)}, screen: vt.NewEmulator(80, 24), ended: make(chan int, 1), read: make(chan struct{})}
	x.txn(
		store.Op{Verb: store.Set, Key: keys.Layout{}.CurrentVersion(), Value: []byte("v2"), Flags: keys.CurrentFlags(1, false)},
		store.Op{Verb: store.Set, Key: keys.Layout{}.EnableGlobal(), Value: []byte(keys.Disabled)})
	x.txn(x.record("v2", "web1")...)
	x.txn(x.record("v1", "web2")...)
	x.txn(x.record("v1", "web3")...)
	for _, host := range []string{"web2", "web3"} { // both in flight, so that their upgrades are noticed at once
		x.txn(store.Op{Verb: store.Set, Key: keys.Layout{}.EnableHost(host), Value: []byte(keys.Enabled)})
	}
	var err error
	if x.person, x.tty, err = pty.Open(); err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(x.tty, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	if x.before, err = term.GetState(int(x.tty.Fd())); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(x.show)
	group.Go(func() { _, _ = io.Copy(x.person, x.screen) }) // the answers of the terminal itself
	plan := t.TempDir() + "/plan.yaml"
	if err := os.WriteFile(plan, []byte(planOfThree), 0o600); err != nil {
		t.Fatal(err)
	}
	o := app.Options{In: x.tty, Out: x.tty, Err: &x.err, OutTerminal: true, Getenv: func(name string) string { return env[name] },
		Now: scriptNow, Who: "alice@desk", Open: func(consul.Config) (store.Store, error) { return x.store, nil }}
	if code := app.Main(t.Context(), []string{"apply", "-f", plan}, app.Options{Out: io.Discard, Err: &x.err, Now: scriptNow, Open: o.Open}); code != 0 {
		t.Fatal(x.err.String())
	}
	x.err.Reset()
	ctx, stop := context.WithCancel(t.Context())
	x.stop = stop
	group.Go(func() { x.ended <- app.Main(ctx, args, o) })
	t.Cleanup(func() {
		stop()
		_ = x.tty.Close()
		_ = x.person.Close()
		if answers, ok := x.screen.InputPipe().(io.Closer); ok { // its Close races with its Read
			_ = answers.Close()
		}
		group.Wait()
	})
	return x
}

func (x *console) show() {
	defer close(x.read)
	buffer := make([]byte, 4096)
	for {
		n, err := x.person.Read(buffer)
		x.mu.Lock()
		x.raw.Write(buffer[:n])
		_, _ = x.screen.Write(buffer[:n])
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (x *console) txn(ops ...store.Op) {
	x.t.Helper()
	if _, err := x.store.Txn(x.t.Context(), ops); err != nil {
		x.t.Fatal(err)
	}
}

// record returns the operations by which a host reaches a version.
func (x *console) record(version, host string) []store.Op {
	ops := []store.Op{{Verb: store.Set, Key: keys.Layout{}.Record(version, host), Value: []byte("1772800000")}}
	if version == "v2" {
		ops = append(ops, store.Op{Verb: store.Delete, Key: keys.Layout{}.Record("v1", host)})
	}
	return ops
}

// reach writes the records of hosts at the plan's version.
func (x *console) reach(hosts ...string) {
	x.t.Helper()
	var ops []store.Op
	for _, host := range hosts {
		ops = append(ops, x.record("v2", host)...)
	}
	x.txn(ops...)
}

func (x *console) frame() (text string, alternate bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.screen.String(), x.screen.IsAltScreen()
}

// until waits until is returns true for the screen.
func (x *console) until(what string, is func(text string, alternate bool) bool) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if is(x.frame()) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			text, alternate := x.frame()
			x.t.Fatalf("never %s (alternate screen: %t)\n%s\n%s", what, alternate, text, x.err.String())
		}
	}
}

func shows(want string) func(string, bool) bool {
	return func(text string, _ bool) bool { return strings.Contains(text, want) }
}

func (x *console) press(key string) {
	x.t.Helper()
	if _, err := x.person.WriteString(key); err != nil {
		x.t.Fatal(err)
	}
}

// ends waits for the end of the command, and checks its exit code and that the terminal is as before.
func (x *console) ends(code int) {
	x.t.Helper()
	select {
	case got := <-x.ended:
		if got != code {
			x.t.Errorf("exit code %d, not %d: %s", got, code, x.err.String())
		}
	case <-time.After(time.Minute):
		x.t.Fatal("it does not end")
	}
	after, err := term.GetState(int(x.tty.Fd()))
	if err != nil {
		x.t.Fatal(err)
	}
	if !reflect.DeepEqual(x.before, after) {
		x.t.Errorf("the terminal was left otherwise: %+v, not %+v", after, x.before)
	}
	_ = x.tty.Close()
	<-x.read
	if _, alternate := x.frame(); alternate || x.screen.CursorHidden() {
		x.t.Errorf("alternate screen: %t, cursor hidden: %t", alternate, x.screen.CursorHidden())
	}
}

// leaves checks the text on the screen after the end.
func (x *console) leaves(wants ...string) {
	x.t.Helper()
	for _, want := range wants {
		if text, _ := x.frame(); !strings.Contains(text, want) {
			x.t.Errorf("%q is missing from\n%s", want, text)
		}
	}
}

func TestTop_ShowsChangesUntilTheOperatorQuits(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"q", "\x1b", "\x03"} {
		x := newConsole(t, map[string]string{"TERM": "xterm-256color"}, "top", "plan", "fleet")
		x.until("shows the fleet", shows("1 of 3 hosts upgraded, 2 upgrading"))
		x.until("shows who leads, on a screen of its own", func(text string, alternate bool) bool {
			return alternate && strings.Contains(text, "no leader") && strings.Contains(text, "2/0 in flight")
		})
		x.reach("web2")
		x.until("shows the host that moved", shows("2 of 3 hosts upgraded, 1 upgrading"))
		x.reach("web3")
		x.until("shows that it is complete, and stays", shows("Complete"))
		x.press(key)
		x.ends(0)
	}
}

func TestTop_ShowsAnOutageAndContinues(t *testing.T) {
	t.Parallel()
	x := newConsole(t, map[string]string{"TERM": "xterm"}, "top", "plan", "fleet")
	x.until("shows the fleet", shows("1 of 3 hosts upgraded"))
	x.store.away.Store(true)
	x.reach("web2")
	x.until("tells of it", shows("no answer for 0s, what is shown was read 0s ago"))
	x.store.away.Store(false)
	x.until("goes on", func(text string, _ bool) bool {
		return strings.Contains(text, "2 of 3 hosts upgraded") && !strings.Contains(text, "no answer")
	})
	x.stop() // as by a signal
	x.ends(0)
}

func TestTop_RefusesAMissingPlan(t *testing.T) {
	t.Parallel()
	x := newConsole(t, map[string]string{"TERM": "xterm"}, "top", "plan", "nosuch")
	x.ends(1)
	if got := x.err.String(); got != "error: upgradeplan \"nosuch\" not found\n" {
		t.Errorf("%q", got)
	}
}

func TestTop_EndsAfterTimeout(t *testing.T) {
	t.Parallel()
	x := newConsole(t, map[string]string{"TERM": "xterm"}, "top", "plan", "fleet", "--timeout", "200ms")
	x.ends(0)
}

func TestRolloutStatus_LeavesItsLastFrameOnATerminal(t *testing.T) {
	t.Parallel()
	begin := func() *console {
		x := newConsole(t, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, "rollout", "status", "fleet", "-w")
		x.until("shows the fleet", shows("1 of 3 hosts upgraded, 2 upgrading"))
		return x
	}
	x := begin()
	x.reach("web2", "web3")
	x.ends(0)
	x.leaves("fleet  v2  Complete", "3 of 3 hosts upgraded", "\nweb █")
	if bytes.Contains(x.raw.Bytes(), []byte("\x1b[?1049h")) {
		t.Error("it took the whole screen")
	}
	if colors := regexp.MustCompile(`\x1b\[([0-9;]*;)?[349][0-9][0-9;]*m`).FindAll(x.raw.Bytes(), -1); colors != nil {
		t.Errorf("colored although NO_COLOR is set: %q", colors)
	}

	x = begin()
	x.reach("web2")
	x.txn(store.Op{Verb: store.Set, Key: keys.Layout{}.EnableHost("web3"), Value: []byte(keys.Disabled)})
	x.ends(1)
	if got := x.err.String(); !strings.HasPrefix(got, "error: the rollout has stalled: web3: ") {
		t.Errorf("%q", got)
	}
	x.leaves("fleet  v2  Stalled", "2 of 3 hosts upgraded, 1 pending", "\nweb █")

	x = begin()
	x.press("q")
	x.ends(1)
	if got := x.err.String(); got != "error: interrupted\n" {
		t.Errorf("%q", got)
	}
}

func TestTop_PrintsLinesOnADumbTerminal(t *testing.T) {
	t.Parallel()
	x := newConsole(t, map[string]string{"TERM": "dumb"}, "top", "plan", "fleet")
	x.until("tells of the fleet", shows("1 of 3 hosts upgraded, 2 upgrading"))
	x.reach("web2", "web3")
	x.ends(0)
	x.leaves("Complete: 3 of 3 hosts upgraded")
	if bytes.Contains(x.raw.Bytes(), []byte("\x1b")) {
		t.Errorf("%q", x.raw.String())
	}
}
