// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

// example is a program in a file of config/examples.
type example struct {
	file string
	args []string
}

func (e example) dashboard() bool { return slices.Contains(e.args, "dashboard") }

// TestExamples_Run runs each program with its arguments, the token of its policy and addresses on loopback.
func TestExamples_Run(t *testing.T) {
	t.Parallel()
	examples := slices.Concat(composeExamples(t), kubernetesExamples(t), nomadExamples(t))
	if len(examples) != 5 {
		t.Fatalf("%d programs: %v", len(examples), examples)
	}
	for _, e := range examples {
		name := "controller"
		if e.dashboard() {
			name = "dashboard"
		}
		t.Run(e.file+" "+name, func(t *testing.T) {
			t.Parallel()
			e.run(t)
		})
	}
}

func (e example) run(t *testing.T) {
	consul := newConsul(t, true)
	rules, ready := policy(t, "controller", "web1"), "/readyz"
	if e.dashboard() {
		rules, ready = policy(t, "viewer", "web1"), "/"
	}
	token := write(t, filepath.Join(t.TempDir(), "consul_token"), consultest.Token(t, consul.Addr(), management, rules)+"\n")
	probes, dashboard := freeAddress(t), freeAddress(t)
	replace := strings.NewReplacer("http://127.0.0.1:8500", consul.Addr(), "${NOMAD_SECRETS_DIR}/consul_token", token,
		"${NOMAD_ADDR_probes}", probes, "127.0.0.1:${NOMAD_PORT_metrics}", freeAddress(t), "0.0.0.0:8081", probes, "0.0.0.0:8080", freeAddress(t),
		"0.0.0.0:8082", dashboard, "127.0.0.1:8082", dashboard)
	args := make([]string, len(e.args))
	for i, arg := range e.args {
		args[i] = replace.Replace(arg)
	}
	cmd := exec.Command(filepath.Join(os.Getenv(binEnv), "upgrade-controller"), args...)
	cmd.Env = []string{"CONSUL_HTTP_ADDR=" + consul.Addr(), "CONSUL_HTTP_TOKEN_FILE=" + token}
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(t, cmd)
		if t.Failed() {
			t.Log(out)
		}
	})
	address := probes
	if e.dashboard() {
		address = dashboard
	}
	eventually(t, "an answer of "+ready, func() bool {
		code, _ := page(t, "http://"+address+ready)
		return code == http.StatusOK
	})
}

// readExample reads a YAML document of a file into a value.
func readExample(t *testing.T, document string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(document), into); err != nil {
		t.Fatal(err)
	}
}

func composeExamples(t *testing.T) (examples []example) {
	const file = "compose.yaml"
	var project struct {
		Services map[string]struct{ Command []string }
	}
	readExample(t, read(t, "config/examples/"+file), &project)
	for _, name := range []string{"upgrade-controller", "dashboard"} {
		examples = append(examples, example{file, project.Services[name].Command})
	}
	return examples
}

func kubernetesExamples(t *testing.T) (examples []example) {
	const file = "kubernetes.yaml"
	for document := range strings.SplitSeq(read(t, "config/examples/"+file), "\n---\n") {
		var d struct {
			Kind string
			Spec struct {
				Template struct {
					Spec struct {
						Containers []struct{ Args []string }
					}
				}
			}
		}
		readExample(t, document, &d)
		for _, c := range d.Spec.Template.Spec.Containers {
			examples = append(examples, example{file, c.Args})
		}
	}
	return examples
}

func nomadExamples(t *testing.T) []example {
	const file = "upgrade-controller.nomad.hcl"
	list := regexp.MustCompile(`(?s)args = \[(.*?)\n +\]`).FindStringSubmatch(read(t, "config/examples/"+file))
	if list == nil {
		t.Fatal("no args")
	}
	e := example{file: file}
	for _, arg := range regexp.MustCompile(`"(.*)"`).FindAllStringSubmatch(list[1], -1) {
		e.args = append(e.args, arg[1])
	}
	return []example{e}
}
