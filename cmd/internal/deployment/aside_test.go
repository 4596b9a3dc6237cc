// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package deployment_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// Web2 fails each attempt. It gives its slot to the others, which complete, and tries again by order.
func TestSetAside_LetsTheOthersGoOn(t *testing.T) {
	t.Parallel()
	f := newFleetOfFiles(t, "web1", "web2", "web3")
	f.apply("v1", "")
	f.complete("v1")
	f.apply("v2", "  failurePolicy: {maxFailed: 1, setAside: Failed, afterAttempts: 1}\n")
	ctl, broken := f.program("upgradectl"), "/bin/false"
	once := func() {
		t.Helper()
		for _, host := range f.hosts {
			step := "/bin/true"
			if host == "web2" {
				step = broken
			}
			file := filepath.Join(f.dir, host)
			f.program("upgrade-agent").run(t, "once", "--hostname", host, "--version-file", file, "--exec", step)
		}
	}
	for range 8 {
		f.reconcile()
		once()
	}
	f.reconcile()
	if out := ctl.must(t, "get", "hosts"); strings.Count(out, " Upgraded ") != 2 || strings.Count(out, " SetAside ") != 1 {
		t.Fatalf("get hosts:\n%s", out)
	}
	ctl.must(t, "wait", "fleet", "--for", "condition=Settled", "--timeout", "30s")
	if out := ctl.must(t, "describe", "plan", "fleet"); !strings.Contains(out, "HostsSetAside") ||
		!strings.Contains(out, "all other hosts are upgraded, and 1 are set aside; web2: set aside after failed attempt 1 of 1") {
		t.Errorf("describe plan:\n%s", out)
	}
	once() // no marker, no grant: no attempt
	if code, out := ctl.run(t, "rollout", "set-aside", "host/web1"); code != 1 || !strings.Contains(out, "only a host that has failed can be set aside") {
		t.Errorf("rollout set-aside of a host that has not failed: exit code %d\n%s", code, out)
	}
	if out := ctl.must(t, "rollout", "retry", "--failed", "--reason", "disk replaced"); out != "host/web2 may try again\n" {
		t.Errorf("rollout retry: %q", out)
	}
	broken = "/bin/true"
	f.reconcile()
	once()
	f.reconcile()
	ctl.must(t, "wait", "fleet", "--for", "condition=Complete", "--timeout", "30s")
}
