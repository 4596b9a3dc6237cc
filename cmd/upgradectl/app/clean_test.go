// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app"
	"github.com/jiocloud/upgrade-controller/controllers/core/audit"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

// hostile clears a screen, sets its title, moves the cursor, and reverses the direction of writing.
const hostile = "evil\x1b[2J\x1b]0;title\x07\u009b31m\u202egpj\r\b\x00"

// hostileStore is a store of which every value that others write is hostile.
func hostileStore(t *testing.T, plan string) *memory.Store {
	t.Helper()
	s := memory.New(scriptNow)
	l := keys.Layout{}
	text, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	in := func(format string) string { return strings.ReplaceAll(format, "EVIL", strings.Trim(string(text), `"`)) }
	for key, value := range map[string]string{
		l.CurrentVersion():                             "v1",
		l.EnableGlobal():                               hostile,
		l.EnableTree() + "host/" + hostile:             hostile,
		l.Record("v1", "web1"):                         hostile,
		l.Record("v1", hostile):                        "1772800000",
		l.Record(hostile, "web2"):                      "1772800000",
		l.Record("v1", "web3"):                         "1772800000",
		l.ReportTree() + "web1":                        in(`{"schema":2,"role":"web","version":"v1","phase":"Failed","message":"EVIL","reason":"EVIL"}`),
		l.ReportTree() + "web2":                        hostile,
		l.ReportTree() + hostile:                       in(`{"schema":2,"version":"v1","phase":"Ready"}`),
		l.ReportTree() + "web4":                        in(`{"schema":2,"role":"EVIL","version":"EVIL","phase":"EVIL","machine":"EVIL","agentVersion":"EVIL"}`),
		l.StartedTree() + "web3":                       in(`{"version":"EVIL","from":"EVIL","by":"EVIL","grant":"EVIL"}`),
		l.GrantTree() + "web1":                         hostile,
		l.HoldTree() + "host/web1":                     in(`{"owner":"EVIL","reason":"EVIL","accessor":"EVIL"}`),
		l.HoldTree() + "role/web":                      hostile,
		l.Action():                                     in(`{"version":"v2","name":"EVIL","args":["EVIL"]}`),
		"config_state/host/web1/" + hostile:            hostile,
		"config_state/host/web1/setting":               hostile,
		"config_version/global/setting":                hostile,
		keys.Leader:                                    in(`{"holder":"EVIL","since":"2026-03-06T13:00:00Z"}`),
		keys.Source("fleet"):                           in(`{"source":{"name":"fleet","url":"EVIL"},"lastError":{"reason":"EVIL","message":"EVIL","revision":"EVIL"},"conditions":[{"type":"Ready","status":"False","reason":"EVIL","message":"EVIL"}],"events":[{"number":1,"type":"EVIL","reason":"EVIL","object":"EVIL","message":"EVIL"}]}`),
		"upgrade.jiocloud.com/plans/" + hostile + "/x": hostile,
	} {
		put(t, s, key, value)
	}
	register(t, s, in(`{"name":"upgrade-controller on EVIL","version":"EVIL","since":"2026-03-06T13:00:00Z"}`))
	s.SetNodes("web1", "web2", hostile)
	s.SetChecks("web1", fleet.Check{ID: hostile, Node: "web1", Status: fleet.Critical})
	if code := app.Main(t.Context(), []string{"apply", "-f", plan}, hostileOptions(s, io.Discard, io.Discard)); code != 0 {
		t.Fatalf("apply: exit code %d", code)
	}
	p := keys.Plan("fleet")
	for key, value := range map[string]string{
		p.Control(): in(`{"pause":{"by":"EVIL","reason":"EVIL","accessor":"EVIL","time":"2026-03-06T13:00:00Z"},` +
			`"halt":{"reason":"EVIL","version":"v2","time":"2026-03-06T13:00:00Z"}}`),
		p.Manager(): in(`{"source":"EVIL","path":"EVIL","revision":"EVIL"}`),
		p.Event(1): in(`{"number":1,"time":"2026-03-06T13:00:00Z","type":"EVIL","reason":"EVIL","object":"EVIL","message":"EVIL",` +
			`"version":"EVIL"}`),
		audit.EntryKey("fleet", 1):    in(`{"number":1,"kind":"EVIL","plan":"EVIL","what":"EVIL","by":"EVIL","reason":"EVIL","accessor":"EVIL","hash":"EVIL"}`),
		audit.EntryKey("fleet", 2):    hostile,
		audit.Tree("fleet") + hostile: hostile,
		p.Status():                    in(`{"conditions":[{"type":"Ready","status":"False","reason":"EVIL","message":"EVIL"}],"phase":"EVIL"}`),
	} {
		put(t, s, key, value)
	}
	return s
}

// register stores the registration of a controller.
func register(t *testing.T, s *memory.Store, value string) {
	t.Helper()
	session, err := s.CreateSession(t.Context(), store.SessionOptions{TTL: time.Hour})
	if err == nil {
		_, err = s.Txn(t.Context(), []store.Op{{Verb: store.Lock, Key: keys.Controllers + "1", Value: []byte(value), Session: session}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func hostileOptions(s store.Store, out, err io.Writer) app.Options {
	return app.Options{In: strings.NewReader("y\n"), Out: out, Err: err, Getenv: func(string) string { return "" }, Now: scriptNow,
		Who: "alice@desk" + hostile, Open: func(consul.Config) (store.Store, error) { return s, nil }}
}

// controls returns the control and direction characters of a text, without line breaks and tabs.
func controls(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return r
		}
		return -1
	}, text)
}

// hostileCommands are the arguments of each command by its path. FILE is that of a plan.
var hostileCommands = map[string][]string{
	"audit export":            {"FORMATS", "EVIL"},
	"audit verify":            {"fleet", "EVIL"},
	"apply":                   {"-f FILE", "-f FILE --dry-run=server", "-f EVIL", "-f FILE --wait --timeout 1ns"},
	"convert":                 {"-f FILE"},
	"delete":                  {"fleet", "EVIL"},
	"diff":                    {"-f FILE", "fleet", "fleet -o json", "fleet -o yaml", "EVIL"},
	"edit":                    {"fleet", "EVIL"},
	"simulate":                {"-f FILE", "fleet", "fleet -o json", "EVIL"},
	"init":                    {"", "--prefix eu", "-f FILE", "--version EVIL", "--name EVIL"},
	"forget":                  {"web1 --yes", "web1", "EVIL"},
	"hold":                    {"host web2 --reason EVIL --owner EVIL", "role web", "EVIL"},
	"unhold":                  {"host web1", "role web", "EVIL"},
	"reconcile":               {"fleet", "fleet --until-complete --timeout 1ns", "EVIL"},
	"reconcile source":        {"fleet --timeout 1ns", "EVIL"},
	"wait":                    {"fleet --for=condition=Complete --timeout 1ns", "EVIL --for=condition=Complete --timeout 1ns"},
	"status":                  {"", "--plan fleet", "--plan EVIL"},
	"top plan":                {"fleet", "EVIL"},
	"check":                   {"", "-o json", "--plan fleet", "--plan EVIL", "--as agent --host EVIL"},
	"explain":                 {"spec", "EVIL"},
	"get events":              {"FORMATS"},
	"get holds":               {"FORMATS"},
	"get hosts":               {"FORMATS", "EVIL", "-w --timeout 1ns"},
	"get plans":               {"FORMATS", "EVIL"},
	"get roles":               {"FORMATS"},
	"get sources":             {"FORMATS"},
	"get versions":            {"FORMATS"},
	"describe host":           {"web1", "web2", "web3", "web4", "EVIL"},
	"describe plan":           {"fleet", "EVIL"},
	"describe role":           {"web", "EVIL"},
	"describe source":         {"fleet", "EVIL"},
	"rollout abort":           {"fleet --reason EVIL"},
	"rollout history":         {"fleet", "fleet --revision 1", "fleet --revision 1 -o yaml"},
	"rollout pause":           {"fleet --reason EVIL", "EVIL"},
	"rollout promote":         {"fleet"},
	"rollout resume":          {"fleet", "fleet --accept-restored --reason EVIL"},
	"rollout retry":           {"fleet", "fleet EVIL"},
	"rollout set-aside":       {"fleet web1", "fleet EVIL", "fleet --all"},
	"rollout status":          {"fleet", "fleet -o json"},
	"rollout undo":            {"fleet", "fleet --dry-run"},
	"upgrade":                 {"v2", "EVIL"},
	"global-disable-puppet":   {""},
	"check-single-version":    {"v1", "EVIL"},
	"enable-puppet":           {"True --host web1", "EVIL"},
	"get-failures":            {""},
	"hosts-at-version":        {"v1", "EVIL"},
	"running-versions":        {""},
	"set-config":              {"host state setting EVIL --name web1", "EVIL"},
	"trigger-update":          {"v2", "EVIL"},
	"verify-hosts":            {"v1 web1 EVIL"},
	"version":                 {"", "-o json", "-o yaml", "--fleet", "--client"},
	"__complete get hosts":    {"w"},
	"__complete describe":     {"host w"},
	"__complete rollout undo": {"f"},
}

// TestCommands_WriteNoControlCharacters runs each command beside values that attack the operator's terminal.
func TestCommands_WriteNoControlCharacters(t *testing.T) {
	plan := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(plan, []byte(planOfThree), 0o600); err != nil {
		t.Fatal(err)
	}
	for command, lines := range hostileCommands {
		for _, line := range lines {
			formats := []string{line}
			if line == "FORMATS" {
				formats = []string{"", "-o wide", "-o json", "-o yaml", "-o name"}
			}
			for _, line := range formats {
				t.Run(command+" "+line, func(t *testing.T) {
					args := strings.Fields(command + " " + line)
					for i := range args {
						args[i] = strings.NewReplacer("FILE", plan, "EVIL", hostile).Replace(args[i])
					}
					var out, err strings.Builder
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					app.Main(ctx, args, hostileOptions(hostileStore(t, plan), &out, &err))
					for stream, text := range map[string]string{"stdout": out.String(), "stderr": err.String()} {
						if found := controls(text); found != "" {
							t.Errorf("%s has %+q:\n%+q", stream, found, text)
						}
					}
				})
			}
		}
	}
}

func TestCommands_AreAllRunBesideHostileValues(t *testing.T) {
	skipped := map[string]bool{"completion": true, "help": true, "demo": true}
	var walk func(path string, command *cobra.Command)
	walk = func(path string, command *cobra.Command) {
		for _, sub := range command.Commands() {
			path := strings.TrimSpace(path + " " + sub.Name())
			if skipped[path] {
				continue
			}
			if _, ok := hostileCommands[path]; !ok && len(sub.Commands()) == 0 {
				t.Errorf("hostileCommands has no row for %q", path)
			}
			walk(path, sub)
		}
	}
	walk("", app.New(hostileOptions(nil, io.Discard, io.Discard)))
}

func TestMain_HidesPasswordsOfConsulsAddress(t *testing.T) {
	var out, err strings.Builder
	o := hostileOptions(nil, &out, &err)
	o.Open = func(c consul.Config) (store.Store, error) { return consul.New(c) }
	args := []string{"get", "hosts", "--http-addr", "http://me:secret@127.0.0.1:1", "--timeout", "1s"}
	if code := app.Main(t.Context(), args, o); code == 0 || strings.Contains(out.String()+err.String(), "secret") {
		t.Errorf("exit code %d: %s%s", code, out.String(), err.String())
	}
}
