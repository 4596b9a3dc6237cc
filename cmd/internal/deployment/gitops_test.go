// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/controllers/gitsync/gittest"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// gitops is a repository behind a server, and a controller that follows it under its policy.
type gitops struct {
	*testing.T
	consul           *consuldev.Agent
	git              *gittest.Repository
	controller       program
	operator, viewer program
	config           string
}

func newGitOps(t *testing.T) *gitops {
	t.Helper()
	consul := newConsul(t, true)
	program := func(name, rules string) program { return as(t, consul, name, policy(t, rules, "")) }
	return &gitops{T: t, consul: consul, git: gittest.New(t), controller: program("upgrade-controller", "controller"),
		operator: program("upgradectl", "operator"), viewer: program("upgradectl", "viewer")}
}

// configure writes the file of --config with one source.
func (g *gitops) configure(source string) {
	g.config = write(g.T, filepath.Join(g.TempDir(), "controller.yaml"),
		"apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: ControllerConfig\nminGap: 50ms\nsources:\n- name: default\n  interval: 1h\n"+source)
}

// lead starts a controller and waits until it has synced.
func (g *gitops) lead(args ...string) *exec.Cmd {
	g.Helper()
	cmd, out := g.controller.command(append(args, "--config", g.config)...), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if g.Failed() {
			g.Logf("the controller wrote:\n%s", out)
		}
	})
	eventually(g.T, "the lock", func() bool { return strings.Contains(out.String(), "leading") })
	eventually(g.T, "the source", func() bool { return strings.Contains(g.viewer.must(g.T, "get", "sources", "-o", "name"), "default") })
	return cmd
}

func (g *gitops) synced() string {
	g.Helper()
	return g.operator.must(g.T, "reconcile", "source", "default", "--timeout", "30s")
}

func (g *gitops) refused(want string, p program, args ...string) {
	g.Helper()
	if code, out := p.run(g.T, args...); code == 0 || !strings.Contains(out, want) {
		g.Errorf("%s: exit code %d, want %q:\n%s", strings.Join(args, " "), code, want, out)
	}
}

const gitPlan = "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: fleet}\nspec: {version: %s}\n"

func TestAPushLeadsToARollout(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"https", "ssh"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			g := newGitOps(t)
			if way == "https" {
				server := gittest.ServeHTTPS(t, g.git)
				g.git.Setenv("GIT_SSL_CAINFO", server.CAFile)
				g.git.Git("remote", "set-url", "origin", strings.Replace(server.URL, "://", "://a:"+gittest.Token+"@", 1))
				g.configure(fmt.Sprintf("  url: %s\n  path: plans\n  auth: {tokenFile: %s, caFile: %s}\n", server.URL, server.TokenFile, server.CAFile))
			} else {
				server := gittest.ServeSSH(t, g.git)
				g.configure(fmt.Sprintf("  url: %s\n  path: plans\n  auth: {sshKeyFile: %s, knownHostsFile: %s}\n", server.URL, server.KeyFile,
					server.KnownHostsFile))
			}
			hosts := []string{"web1", "web2"}
			version := startAgents(t, g.consul, hosts, "")
			eventually(t, "the reports", func() bool {
				return strings.Count(g.viewer.must(t, "get", "hosts", "-o", "name"), "host/") == len(hosts)
			})
			g.git.Commit("plans/fleet.yaml", fmt.Sprintf(gitPlan, "v2")) // through the server
			g.lead()
			for _, host := range hosts {
				eventually(t, host+" at v2", func() bool { return version(host) == "v2" })
			}
			commit := g.git.Commit("plans/fleet.yaml", fmt.Sprintf(gitPlan, "v3"))
			if out := g.synced(); !strings.Contains(out, "source/default synced: applied main@sha1:"+commit+": 1 plan") {
				t.Error(out)
			}
			for _, host := range hosts {
				eventually(t, host+" at v3", func() bool { return version(host) == "v3" })
			}
			if out := g.viewer.must(t, "describe", "plan", "fleet"); !strings.Contains(out, "Git: source default, plans/fleet.yaml at main@sha1:"+commit) {
				t.Error(out)
			}
		})
	}
}

func TestCommandsKnowWhatGitManages(t *testing.T) {
	t.Parallel()
	g := newGitOps(t)
	g.git.Commit("fleet.yaml", fmt.Sprintf(gitPlan, "v2"))
	g.configure("  url: " + g.git.URL() + "\n")
	g.refused("source \"default\" not found", g.operator, "reconcile", "source", "default")
	controller := g.lead()
	g.synced()
	mine := write(t, filepath.Join(t.TempDir(), "mine.yaml"), fmt.Sprintf(gitPlan, "v9"))
	g.refused("is managed by Git: source default, fleet.yaml", g.operator, "apply", "-f", mine)
	g.refused("is managed by Git: source default, fleet.yaml", g.operator, "delete", "fleet")
	g.refused("is managed by Git: source default, fleet.yaml", program{"upgradectl", g.controller.env}, "upgrade", "v9")
	if out := g.operator.must(t, "apply", "-f", mine, "--force"); !strings.Contains(out, "the next sync undoes this change") {
		t.Error(out)
	}
	if code, out := g.viewer.run(t, "diff", "--source", "default"); code != 1 || !strings.Contains(out, "-  version: v9\n+  version: v2") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	g.synced()
	eventually(t, "all is as Git says", func() bool { code, _ := g.viewer.run(t, "diff", "--source", "default"); return code == 0 })
	// A pull request that changes one plan, adds one and removes none: what CI would say of it.
	g.refused("+  version: v4", g.viewer, "diff", "-f", write(t, filepath.Join(t.TempDir(), "f.yaml"), fmt.Sprintf(gitPlan, "v4")))
	// A plan that moves to another name.
	g.git.Commit("fleet.yaml", strings.Replace(fmt.Sprintf(gitPlan, "v3"), "name: fleet", "name: other", 1))
	if code, out := g.viewer.run(t, "diff", "--source", "default", "-o", "json"); code != 1 || !strings.Contains(out, `"outcome": "deleted"`) ||
		!strings.Contains(out, `"outcome": "created"`) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	g.synced()
	if out := g.viewer.must(t, "get", "plans", "-o", "name"); out != "upgradeplan/other\n" {
		t.Error(out)
	}
	g.git.Commit("fleet.yaml", "apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: other}\nspec: {versoin: v3}\n")
	g.refused("InvalidManifests: fleet.yaml:4: spec.versoin: unknown field, did you mean version?", g.operator, "reconcile", "source", "default")
	g.refused("fleet.yaml:4: spec.versoin", g.viewer, "diff", "--source", "default")
	for _, look := range []string{"get sources", "get sources -o wide", "get sources default -o json", "describe source default"} {
		if out := g.viewer.must(t, strings.Fields(look)...); !strings.Contains(out, "fleet.yaml:4: spec.versoin: unknown field") {
			t.Errorf("%s:\n%s", look, out)
		}
	}
	stop(t, controller)
	g.refused("no controller is running", g.operator, "reconcile", "source", "default")
}

// An old commit has a good signature, too. Only an operator can let the fleet go back to it.
func TestGitOps_GoesBackOnlyWhenAnOperatorAccepts(t *testing.T) {
	t.Parallel()
	g := newGitOps(t)
	signers := write(t, filepath.Join(t.TempDir(), "allowed_signers"), "a@example.com "+g.git.Sign())
	g.git.Write(".upgrade-source.yaml", "sources: [{name: default}]\n")
	first := g.git.Commit("fleet.yaml", fmt.Sprintf(gitPlan, "v1"))
	second := g.git.Commit("fleet.yaml", fmt.Sprintf(gitPlan, "v2"))
	g.configure("  url: " + g.git.URL() + "\n  verify: {allowedSigners: [" + signers + "]}\n")
	g.lead()
	g.synced()
	g.git.GitBare("update-ref", "refs/heads/main", first)
	g.refused("RewindRefused: main@sha1:"+first+" does not descend from "+second, g.operator, "reconcile", "source", "default")
	if out := g.viewer.must(t, "describe", "source", "default"); !strings.Contains(strings.Join(strings.Fields(out), " "), "Warning RewindRefused") {
		t.Error(out)
	}
	g.refused("must be the full hash of a commit", g.operator, "reconcile", "source", "default", "--accept", first[:12])
	g.refused("ermission denied", g.viewer, "reconcile", "source", "default", "--accept", first)
	g.refused("RewindRefused", g.operator, "reconcile", "source", "default", "--accept", second)
	if out := g.operator.must(t, "reconcile", "source", "default", "--accept", "main@sha1:"+first); !strings.Contains(out, "applied main@sha1:"+first) {
		t.Error(out)
	}
	if out := g.viewer.must(t, "describe", "source", "default"); !strings.Contains(strings.Join(strings.Fields(out), " "), "Warning Rewound") {
		t.Error(out)
	}
}

// A controller that is killed during a sync leaves no half state: the next one finishes it.
func TestAKilledSyncLosesNothing(t *testing.T) {
	t.Parallel()
	const fleets = 40 // each has eight watches
	consul := consultest.StartWith(t, consuldev.Options{Config: "limits { http_max_conns_per_client = 2000 }\n"})
	env := []string{"CONSUL_HTTP_ADDR=" + consul.Addr()}
	g := &gitops{T: t, consul: consul, git: gittest.New(t), controller: program{"upgrade-controller", env},
		operator: program{"upgradectl", env}, viewer: program{"upgradectl", env}}
	files := func(version string) []string {
		var all []string
		for i := range fleets {
			name := fmt.Sprintf("plan%d", i)
			all = append(all, name+".yaml", fmt.Sprintf("apiVersion: upgrade.jiocloud.com/v1alpha1\nkind: UpgradePlan\nmetadata: {name: %s}\n"+
				"spec: {version: %s, keys: {prefix: %s}}\n", name, version, name))
		}
		return all
	}
	at := func(version string) int {
		return len(regexp.MustCompile(`(?m)^plan\d+ +`+version+` `).FindAllString(g.viewer.must(t, "get", "plans"), -1))
	}
	g.git.Commit(files("v1")...)
	g.configure("  url: " + g.git.URL() + "\n")
	controller := g.lead()
	eventually(t, "the first commit", func() bool { return at("v1") == fleets })
	commit := g.git.Commit(files("v2")...)
	asking := g.operator.command("reconcile", "source", "default", "--timeout", "30s")
	if err := asking.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = asking.Wait() }() // any server that answers
	client, err := api.NewClient(&api.Config{Address: consul.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	for begun := false; !begun; { // as fast as can be: all of it takes some ten milliseconds
		pair, _, err := client.KV().Get("upgrade.jiocloud.com/plans/plan0/spec", nil)
		if err != nil {
			t.Fatal(err)
		}
		begun = bytes.Contains(pair.Value, []byte(`"version":"v2"`))
	}
	if err := controller.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = controller.Wait()
	if n := at("v2"); n == fleets {
		t.Log("it was killed too late") // the store's tests break it off at each write
	} else {
		t.Logf("killed with %d of %d plans applied", n, fleets)
	}
	g.lead()
	eventually(t, "the second commit", func() bool {
		return at("v2") == fleets && strings.Contains(g.viewer.must(t, "describe", "source", "default"), "Applied:     main@sha1:"+commit)
	})
}

func TestWebhook_RequestsSync(t *testing.T) {
	t.Parallel()
	g := newGitOps(t)
	g.git.Commit("fleet.yaml", fmt.Sprintf(gitPlan, "v2"))
	secret := write(t, filepath.Join(t.TempDir(), "secret"), "hush\n")
	g.configure("  url: " + g.git.URL() + "\n  webhookSecretFile: " + secret + "\n")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	g.lead("--webhook-bind-address", address)
	commit := g.git.Commit("fleet.yaml", fmt.Sprintf(gitPlan, "v3"))
	body := []byte(`{"ref":"refs/heads/main"}`)
	mac := hmac.New(sha256.New, []byte("hush"))
	mac.Write(body)
	post := func(path, signature string) int {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+address+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Hub-Signature-256", signature)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	good := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	if code := post("/hook/default", strings.Replace(good, good[10:12], "zz", 1)); code != http.StatusUnauthorized {
		t.Errorf("a wrong signature: %d", code)
	}
	if code := post("/hook/other", good); code != http.StatusNotFound {
		t.Errorf("another source: %d", code)
	}
	if code := post("/hook/default", good); code != http.StatusAccepted {
		t.Errorf("a good signature: %d", code)
	}
	eventually(t, "the sync", func() bool { return strings.Contains(g.viewer.must(t, "describe", "source", "default"), commit) })
}

// sampleWorkflow is the sample of a workflow that shows the changes of a pull request.
type sampleWorkflow struct {
	*testing.T
	consul string
	uses   []string
	script string
}

func readSampleWorkflow(t *testing.T) *sampleWorkflow {
	t.Helper()
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct{ Run, Uses string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "config/samples/gitops/workflow.yaml")), &workflow); err != nil {
		t.Fatal(err)
	}
	w := &sampleWorkflow{T: t, consul: consultest.Start(t).Addr()}
	for _, step := range workflow.Jobs["diff"].Steps {
		if step.Uses != "" {
			w.uses = append(w.uses, step.Uses)
		}
		w.script = step.Run
	}
	return w
}

// run runs the script in a checkout with a plan. It returns what the script printed and the summary.
func (w *sampleWorkflow) run(plan string, change func(dir string)) (out, summary string, err error) {
	w.Helper()
	dir := w.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "plans"), 0o700); err != nil {
		w.Fatal(err)
	}
	write(w.T, filepath.Join(dir, "plans", "fleet.yaml"), plan)
	change(dir)
	name := write(w.T, filepath.Join(w.TempDir(), "summary"), "")
	cmd := exec.Command("bash", "-eo", "pipefail", "-c", w.script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+w.consul, "GITHUB_STEP_SUMMARY="+name,
		"PATH="+os.Getenv(binEnv)+":"+os.Getenv("PATH"))
	printed, err := cmd.CombinedOutput()
	text, errRead := os.ReadFile(name)
	if errRead != nil {
		w.Fatal(errRead)
	}
	return string(printed), string(text), err
}

// The script of the sample workflow succeeds when a pull request changes something, and fails when a file is wrong.
func TestTheSampleWorkflow(t *testing.T) {
	t.Parallel()
	w := readSampleWorkflow(t)
	none := func(string) {}
	out, summary, err := w.run(fmt.Sprintf(gitPlan, "v2"), none)
	if err != nil || !strings.Contains(out, "+current_version = v2") || !strings.HasPrefix(summary, "```diff\n") || !strings.Contains(summary, out) {
		t.Errorf("%v\n%s\n%s", err, out, summary)
	}
	if out, _, err := w.run("kind: UpgradePlan\n", none); err == nil || !strings.Contains(out, "apiVersion: is required") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A pull request can contain links to files of the runner.
func TestSampleWorkflow_FollowsNoLinks(t *testing.T) {
	t.Parallel()
	w := readSampleWorkflow(t)
	outside := write(t, filepath.Join(t.TempDir(), "outside"), "secret: hunter2\n")
	link := func(dir, name string) {
		if err := os.Symlink(outside, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if out, _, err := w.run(fmt.Sprintf(gitPlan, "v2"), func(dir string) { link(dir, "diff.txt"); link(dir, "out") }); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "secret: hunter2\n" {
		t.Errorf("the script wrote through a link: %v\n%s", err, text)
	}
	out, summary, err := w.run(fmt.Sprintf(gitPlan, "v2"), func(dir string) { link(dir, "plans/link.yaml") })
	if err == nil || strings.Contains(out+summary, "secret") || !strings.Contains(out, "not a file: plans/link.yaml") {
		t.Errorf("%v\n%s\n%s", err, out, summary)
	}
	for _, action := range w.uses {
		if _, commit, _ := strings.Cut(action, "@"); len(commit) != 40 {
			t.Errorf("%s is not pinned to a commit", action)
		}
	}
}
