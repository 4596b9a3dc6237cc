// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

func (s *site) get(path string) (int, string, http.Header) {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url(path), http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	return response.StatusCode, string(body), response.Header
}

func TestPages(t *testing.T) {
	s := newFleet(t, 5)
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"":                                     {200, `<a href="plans/fleet">fleet</a>`},
		"plans/fleet":                          {200, `2 of 8 hosts upgraded`},
		"plans/fleet/hosts":                    {200, `9 hosts found`},
		"plans/fleet/hosts?state=InFlight":     {200, `3 hosts found`},
		"plans/fleet/hosts?role=db&name=3":     {200, `1 host found`},
		"plans/fleet/hosts/db1":                {200, `upgradectl unhold host/db1`},
		"plans/fleet/changes":                  {200, `version: v2`},
		"plans/fleet/hosts/web99":              {404, `host &#34;web99&#34; not found`},
		"plans/other":                          {404, `upgradeplan &#34;other&#34; not found`},
		"plans/-%2Fx":                          {404, `is not a valid plan name`},
		"assets/style.css":                     {200, `prefers-color-scheme`},
		"assets/plan.tmpl":                     {404, `not found`},
		"assets/":                              {404, `not found`},
		"plans/fleet/hosts?state=%3Cscript%3E": {200, `0 hosts found`},
		"nowhere":                              {404, `not found`},
	} {
		status, body, header := s.get(path)
		if status != want.status || !strings.Contains(body, want.text) {
			t.Errorf("/%s: %d, want %d and %q:\n%s", path, status, want.status, want.text, body)
		}
		if csp := header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self'") {
			t.Errorf("/%s: Content-Security-Policy %q", path, csp)
		}
		if strings.Contains(body, "<script>") || strings.Contains(body, " style=") || strings.Contains(body, "://") && !strings.Contains(path, "assets") {
			t.Errorf("/%s contains an inline script, an inline style or an absolute URL:\n%s", path, body)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		request, _ := http.NewRequestWithContext(t.Context(), method, s.url("plans/fleet"), http.NoBody)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %s", method, response.Status)
		}
	}
}

// stream is the event stream of a page.
type stream struct {
	*site
	lines *bufio.Scanner
}

func (s *site) listen(path, last string) *stream {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url(path), http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Last-Event-ID", last)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return &stream{s, lines}
}

// change is a message of a stream.
type change struct {
	id    string
	Parts map[string]string    `json:"parts"`
	Cells map[string][2]string `json:"cells"`
}

// next returns the next change and the number of heartbeats before it.
func (s *stream) next() (c change, heartbeats int) {
	s.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		switch {
		case line == "event: heartbeat":
			heartbeats++
		case strings.HasPrefix(line, "id: "):
			c.id = line[4:]
		case strings.HasPrefix(line, "data: {"):
			if err := json.Unmarshal([]byte(line[6:]), &c); err != nil {
				s.Fatal(err)
			}
			return c, heartbeats
		}
	}
	s.Fatalf("the stream ended: %v", s.lines.Err())
	return c, heartbeats
}

func (s *site) idOf(body string) string {
	_, rest, _ := strings.Cut(body, `data-snapshot="`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

func TestStream_SendsChanges(t *testing.T) {
	s := newFleet(t, 5)
	_, body, _ := s.get("plans/fleet")
	shown := s.listen("plans/fleet?snapshot="+s.idOf(body), "")
	s.upgrade("web3")
	change, _ := shown.next()
	for change.Cells["h-web3"][0] != "s-upgraded" {
		change, _ = shown.next()
	}
	if len(change.Cells) != 1 || change.Parts["roles"] != "" || change.Parts["cells-web"] != "" || change.Parts["head-web"] == "" {
		t.Errorf("one host reached the version: cells %v, parts %v", change.Cells, keysOf(change.Parts))
	}
	if all, _ := s.listen("plans/fleet", "of-another-process").next(); all.Parts["roles"] == "" || all.Parts["summary"] == "" {
		t.Errorf("unknown snapshot: got parts %v, want all", keysOf(all.Parts))
	}
	again := s.listen("plans/fleet?snapshot=old", change.id)
	s.at("v1", time.Now(), "web6")
	change, heartbeats := again.next()
	for change.Parts["cells-web"] == "" {
		change, _ = again.next()
	}
	if change.Parts["roles"] != "" || !strings.Contains(change.Parts["cells-web"], `id="h-web6"`) {
		t.Errorf("new host: parts %v", keysOf(change.Parts))
	}
	t.Logf("%d heartbeats", heartbeats)
	s.write(store.Op{Verb: store.DeleteTree, Key: keys.Plan("fleet").Tree()})
	for !strings.Contains(change.Parts["summary"], "not found") {
		change, _ = again.next()
	}
}

func keysOf(m map[string]string) []string { return fleet.NaturalKeys(m) }

func TestPage_ShowsStaleDataWhenConsulIsUnavailable(t *testing.T) {
	s := newFleet(t, 5)
	_, body, _ := s.get("plans/fleet")
	shown := s.listen("plans/fleet?snapshot="+s.idOf(body), "")
	s.store.broken.Store(true)
	s.upgrade("web3") // wakes the watch
	change, _ := shown.next()
	for !strings.Contains(change.Parts["summary"], "newer data is not available") {
		change, _ = shown.next()
	}
	if len(change.Cells) > 0 {
		t.Errorf("cells changed: %v", change.Cells)
	}
	s.store.broken.Store(false)
	for change.Cells["h-web3"][0] != "s-upgraded" {
		change, _ = shown.next()
	}
	if strings.Contains(change.Parts["summary"], "not available") {
		t.Error("the page still shows stale data")
	}
}

func TestFeed_StopsWithoutViewers(t *testing.T) {
	s := newFleet(t, 5)
	s.get("plans/fleet")
	stopped := func(context.Context) (bool, error) { return s.store.waits.Load() == 0, nil }
	if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, stopped); err != nil {
		t.Fatalf("%d watches are still running: %v", s.store.waits.Load(), err)
	}
}

func TestPlot_MarksHaltsAndClosedWindows(t *testing.T) {
	s := newFleet(t, 5)
	_, body, _ := s.get("plans/fleet")
	if strings.Contains(body, `class="closed"`) || strings.Contains(body, `class="halt"`) || strings.Count(body, `class="cross"`) != 1 {
		t.Errorf("want no halts and one failed host:\n%s", body)
	}
	if !strings.Contains(body, "2 of 8 hosts have reached the version") {
		t.Error("want two hosts that reached the version")
	}
	plans := planstore.Plans{Store: s.store}
	if _, err := plans.SetPause(t.Context(), "fleet", &fleet.Pause{By: "rb", Time: time.Now(), Reason: "lunch"}); err != nil {
		t.Fatal(err)
	}
	s.pass()
	if _, err := plans.SetPause(t.Context(), "fleet", nil); err != nil {
		t.Fatal(err)
	}
	s.pass()
	until := func(what string) {
		t.Helper()
		for ctx, cancel := context.WithTimeout(t.Context(), time.Minute); ; {
			_, body, _ := s.get("plans/fleet")
			if strings.Contains(body, what) {
				cancel()
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("timed out waiting for %q on the page:\n%s", what, body)
			}
		}
	}
	until("lunch</title>")
	s.apply("version: v2\nwindows: {allow: [{schedule: '0 0 29 2 *', duration: 1m}]}")
	until(`class="closed"`)
	until("no window of windows.allow is open")
}
