// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/memory"
)

var testNow = time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)

// testFactory returns a factory whose store must not be opened.
func testFactory(t *testing.T) *factory {
	t.Helper()
	return newFactory(Options{Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }, Who: "alice@desk",
		Now: func() time.Time { return testNow },
		Open: func(consul.Config) (store.Store, error) {
			t.Error("parsing opened the store")
			return nil, errors.New("no store")
		}})
}

// parse executes a command whose run function keeps the options, and returns them.
func parse[O any](t *testing.T, construct func(*factory, func(context.Context, O) error) *cobra.Command, line string) (O, error) {
	t.Helper()
	var got O
	cmd := construct(testFactory(t), func(_ context.Context, o O) error {
		got = o
		return nil
	})
	cli.Silence(cmd)
	cmd.SetArgs(strings.Fields(line))
	return got, cmd.ExecuteContext(t.Context())
}

func TestParse_Apply(t *testing.T) {
	o, err := parse(t, newCmdApply, "-f a.yaml -f b -R --dry-run=server --force --wait --interval 3s")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.files.names, []string{"a.yaml", "b"}) || !o.files.recursive || o.dryRun.Value != dryServer || !o.force.force ||
		!o.wait || o.interval != 3*time.Second {
		t.Errorf("%+v", o)
	}
}

func TestParse_Reconcile(t *testing.T) {
	o, err := parse(t, newCmdReconcile, "upgradeplan/fleet --until-complete --lock-timeout 1m --color never")
	if err != nil {
		t.Fatal(err)
	}
	if o.plan != "fleet" || !o.untilComplete || o.interval != defaultInterval || o.lockTimeout != time.Minute ||
		o.color.choice.Value != colorNever {
		t.Errorf("%+v", o)
	}
}

func TestParse_Upgrade(t *testing.T) {
	o, err := parse(t, newCmdUpgrade, "2.1 --retry --noop")
	if err != nil || o.version != "2.1" || !o.untilComplete || !o.noop || o.interval != legacyInterval {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestParse_Hold(t *testing.T) {
	o, err := parse(t, newCmdHold, "host/web1 role/db --plan fleet --reason disk --expires 48h --exempt")
	if err != nil {
		t.Fatal(err)
	}
	places := []fleet.Place{{Scope: fleet.ScopeHost, Name: "web1"}, {Scope: fleet.ScopeRole, Name: "db"}}
	want := fleet.Hold{Reason: "disk", Owner: "alice@desk", Expires: testNow.Add(48 * time.Hour), Exempt: true}
	if !slices.Equal(o.places, places) || o.fleet != "fleet" || o.hold != want {
		t.Errorf("%+v", o)
	}
}

func TestParse_Simulate(t *testing.T) {
	o, err := parse(t, newCmdSimulate, "-f plan.yaml --duration 10m --duration compute=5m±20% --fail 1% --start 1h --seed 7 -o svg")
	if err != nil {
		t.Fatal(err)
	}
	compute := o.parsed.Roles["compute"]
	if o.parsed.Duration.Mean != 10*time.Minute || compute.Mean != 5*time.Minute || compute.Spread != 0.2 || o.parsed.Failures != 0.01 ||
		!o.parsed.Start.Equal(testNow.Add(time.Hour)) || o.seed != 7 || o.format.Value != asSVG {
		t.Errorf("%+v", o)
	}
}

func TestParse_Wait(t *testing.T) {
	o, err := parse(t, newCmdWait, "fleet other --for=condition=stalled=false --timeout=-1s")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.planNames, []string{"fleet", "other"}) || o.condition != (wantedCondition{"Stalled", "False"}) || o.timeout != longWait {
		t.Errorf("%+v", o)
	}
}

func TestParse_EnablePuppet(t *testing.T) {
	o, err := parse(t, newCmdEnablePuppet, "false role -n web -a delete")
	if err != nil {
		t.Fatal(err)
	}
	if o.key != keys.PauseName || o.value != keys.Disabled || o.place != (fleet.Place{Scope: fleet.ScopeRole, Name: "web"}) ||
		o.action.Value != actionDelete {
		t.Errorf("%+v", o)
	}
}

// failure executes a command line that parsing must refuse, and returns its error.
func failure[O any](construct func(*factory, func(context.Context, O) error) *cobra.Command) func(*testing.T, string) error {
	return func(t *testing.T, line string) error {
		_, err := parse(t, construct, line)
		return err
	}
}

func TestParse_RefusesWrongUsage(t *testing.T) {
	for _, e := range []struct {
		name, line, err string
		parse           func(*testing.T, string) error
	}{
		{"apply without an interval", "-f a --wait --interval 0s", "--interval must be above 0", failure(newCmdApply)},
		{"delete without a plan", "", "the name of a plan or -f is required", failure(newCmdDelete)},
		{"delete with a name and a file", "fleet -f a", "give names or -f, not both", failure(newCmdDelete)},
		{"reconcile with a name and a file", "fleet -f a", "give a name or -f, not both", failure(newCmdReconcile)},
		{"reconcile with changes and a name", "fleet --changes a",
			"--changes cannot be combined with NAME, -f, --dry-run or --until-complete", failure(newCmdReconcile)},
		{"reconcile a host", "host/web1", `"host/web1": must be the name of a plan, or upgradeplan/NAME`, failure(newCmdReconcile)},
		{"diff of a file and a source", "-f a --source b", "give -f or --source, not both", failure(newCmdDiff)},
		{"convert without a version", "a", "--version is required: the version that all hosts must reach", failure(newCmdConvert)},
		{"resume outside windows without a reason", "--override-window", "--override-window needs a --reason", failure(newCmdRolloutResume)},
		{"undo to a negative revision", "--to-revision=-1", "--to-revision must not be negative", failure(newCmdRolloutUndo)},
		{"hold a plan", "plan/fleet", `"plan/fleet": must be host/NAME or role/NAME`, failure(newCmdHold)},
		{"hold until yesterday", "host/web1 --expires 2026-03-05T14:00:00Z", `--expires "2026-03-05T14:00:00Z": must be in the future`,
			failure(newCmdHold)},
		{"forget a role", "role/db", `"role/db": must be host/NAME`, failure(newCmdForget)},
		{"wait for nothing", "fleet", `--for "": must be condition=CONDITION or condition=CONDITION=False`, failure(newCmdWait)},
		{"get hosts in an unknown state", "--state gone", "--state \"gone\": must be ", failure(newCmdGetHosts)},
		{"get events of an unknown type", "--type Bad", `--type "Bad": must be Normal or Warning`, failure(newCmdGetEvents)},
		{"an unknown output format", "-o xml", "must be table, wide, json, yaml or name", failure(newCmdGetPlans)},
		{"simulate with a wrong duration", "-f a --duration web=fast", "must be a duration above 0", failure(newCmdSimulate)},
		{"simulate with a wrong percentage", "-f a --fail 101%", "must be a percentage from 0% to 100%", failure(newCmdSimulate)},
		{"enable-puppet without a name", "True host", "--name is required with scope host", failure(newCmdEnablePuppet)},
		{"set-config with a wrong value", "enable_puppet maybe global", "must be True or False", failure(newCmdSetConfig)},
	} {
		t.Run(e.name, func(t *testing.T) {
			if err := e.parse(t, e.line); err == nil || !strings.Contains(err.Error(), e.err) {
				t.Errorf("error %v, want %q", err, e.err)
			}
		})
	}
}

// loggedIn is a store that logged in.
type loggedIn struct {
	store.Store
	logouts *int
}

func (l loggedIn) Logout(context.Context) error {
	*l.logouts++
	return nil
}

func TestMain_LogsOut(t *testing.T) {
	for line, want := range map[string]int{"get plans": 1, "version": 1, "version --client": 0} {
		logouts, login := 0, consul.Login{}
		code := Main(t.Context(), append([]string{"--login-auth-method", "people", "--login-bearer-token-file", "jwt"}, strings.Fields(line)...), Options{
			Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }, Now: time.Now, Who: "alice@desk",
			Open: func(c consul.Config) (store.Store, error) {
				login = c.Login
				return loggedIn{memory.New(time.Now), &logouts}, nil
			}})
		if code != 0 || logouts != want {
			t.Errorf("%s: exit code %d, %d logouts", line, code, logouts)
		}
		if want > 0 && (login != consul.Login{AuthMethod: "people", BearerTokenFile: "jwt"}) {
			t.Errorf("%s: %+v", line, login)
		}
	}
}

func TestFactory_OpensTheStoreOnce(t *testing.T) {
	opened := 0
	f := newFactory(Options{Open: func(consul.Config) (store.Store, error) {
		opened++
		return memory.New(time.Now), nil
	}})
	for range 3 {
		if _, err := f.plans(); err != nil {
			t.Fatal(err)
		}
	}
	if opened != 1 {
		t.Errorf("the store was opened %d times", opened)
	}
}

func TestFactory_CompletionLeavesItUnchanged(t *testing.T) {
	f := testFactory(t)
	before := f.flags
	quick, err := f.quick()
	if err != nil || quick.flags.consul.RetryFor != -1 || quick.Err != io.Discard {
		t.Fatalf("%+v, %v", quick, err)
	}
	if f.flags.consul.RetryFor != before.consul.RetryFor {
		t.Errorf("retries of the command: %s", f.flags.consul.RetryFor)
	}
}
