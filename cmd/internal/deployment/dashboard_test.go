// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// page returns the status code and the text of a page.
func page(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// TestDashboard_NeedsAViewersTokenOnly runs the dashboard in a process of its own, with a token that cannot write.
func TestDashboard_NeedsAViewersTokenOnly(t *testing.T) {
	t.Parallel()
	consul := newConsul(t, true)
	startAgents(t, consul, []string{"web1"}, "")
	as(t, consul, "upgradectl", policy(t, "operator", "")).must(t, "apply", "-f", planFile(t, plan))
	as(t, consul, "upgrade-controller", policy(t, "controller", "")).start(t)
	address := freeAddress(t)
	viewer := as(t, consul, "upgrade-controller", policy(t, "viewer", ""))
	viewer.start(t, "dashboard", "--dashboard-bind-address", address)
	for path, want := range map[string]string{"": `<a href="plans/fleet">fleet</a>`, "plans/fleet": "hosts upgraded",
		"plans/fleet/hosts": "web1", "plans/fleet/hosts/web1": "web1", "plans/fleet/changes": "version: v2"} {
		eventually(t, "/"+path, func() bool {
			code, text := page(t, "http://"+address+"/"+path)
			return code == http.StatusOK && strings.Contains(text, want)
		})
	}
	if code, text := viewer.run(t, "dashboard", "fleet"); code != 2 {
		t.Errorf("an argument: exit code %d:\n%s", code, text)
	}
	if code, text := (program{"upgradectl", viewer.env}).run(t, "rollout", "pause", "fleet", "--reason", "x"); code == 0 {
		t.Errorf("the token of the dashboard pauses:\n%s", text)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
