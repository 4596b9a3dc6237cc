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
	"testing/synctest"
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
	response, err := s.client.Do(request)
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
		response, err := s.client.Do(request)
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
	changes chan change
}

// listen requests a stream. A goroutine reads it, because an unread connection of a pipenet stops the fake clock.
func (s *site) listen(path, last string) *stream {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url(path), http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Last-Event-ID", last)
	response, err := s.client.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = response.Body.Close() })
	shown := &stream{s, make(chan change, 1<<16)}
	go shown.read(response.Body)
	return shown
}

// read reads changes until the stream ends.
func (s *stream) read(body io.Reader) {
	defer close(s.changes)
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for c := (change{}); lines.Scan(); {
		line := lines.Text()
		if id, found := strings.CutPrefix(line, "id: "); found {
			c = change{id: id}
		}
		if data, found := strings.CutPrefix(line, "data: "); found && data != "" {
			if err := json.Unmarshal([]byte(data), &c); err != nil {
				s.Errorf("%q: %v", data, err)
			}
			s.changes <- c
		}
	}
}

// change is a message of a stream.
type change struct {
	id    string
	Parts map[string]string    `json:"parts"`
	Cells map[string][2]string `json:"cells"`
}

// patience limits the wait for a change. It is longer than all intervals of the feeds.
const patience = 10 * time.Minute

// until returns the first change that fulfills a condition. It must run in a synctest bubble, where its limit does not depend on the
// load of the machine.
func (s *stream) until(is func(change) bool) change {
	s.Helper()
	last := change{}
	for timeout := time.After(patience); ; {
		select {
		case c, open := <-s.changes:
			switch {
			case !open:
				s.Fatal("the stream ended")
			case is(c):
				return c
			}
			last = c
		case <-timeout:
			s.Fatalf("the change did not come; the last one: parts %v, cells %v", keysOf(last.Parts), last.Cells)
		}
	}
}

// upgraded reports whether a change shows that web3 is upgraded.
func upgraded(c change) bool { return c.Cells["h-web3"][0] == "s-upgraded" }

// stale reports whether a change says that newer data is not available.
func stale(c change) bool { return strings.Contains(c.Parts["summary"], "newer data is not available") }

// quiet starts the feed of the plan and waits until it has read all that its new watches report.
func (s *site) quiet() *site {
	s.Helper()
	s.get("plans/fleet")
	synctest.Wait()
	return s
}

// shown returns the ID of the snapshot that the page of the plan shows.
func (s *site) shown() string {
	s.Helper()
	_, body, _ := s.get("plans/fleet")
	_, rest, _ := strings.Cut(body, `data-snapshot="`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// TestStream_SendsChanges lets the feed become quiet before it asks for the changes since a snapshot. Otherwise the snapshot may be
// too old, and the stream sends a whole page, which has no separate cells.
func TestStream_SendsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedFleet(t, 5)
		shown := s.quiet().listen("plans/fleet?snapshot="+s.shown(), "")
		synctest.Wait()
		s.upgrade("web3")
		got := shown.until(upgraded)
		if len(got.Cells) != 1 || got.Parts["roles"] != "" || got.Parts["cells-web"] != "" || got.Parts["head-web"] == "" {
			t.Errorf("one host reached the version: cells %v, parts %v", got.Cells, keysOf(got.Parts))
		}
		s.at("v1", time.Now(), "web6")
		got = shown.until(func(c change) bool { return c.Parts["cells-web"] != "" })
		if got.Parts["roles"] != "" || !strings.Contains(got.Parts["cells-web"], `id="h-web6"`) {
			t.Errorf("new host: parts %v", keysOf(got.Parts))
		}
		s.write(store.Op{Verb: store.DeleteTree, Key: keys.Plan("fleet").Tree()})
		shown.until(func(c change) bool { return strings.Contains(c.Parts["summary"], "not found") })
	})
}

// TestStream_Resumes connects again with the ID of the last event.
func TestStream_Resumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedFleet(t, 5)
		shown := s.quiet().listen("plans/fleet?snapshot="+s.shown(), "")
		synctest.Wait()
		s.fail("web5", "no space left") // one key, so few snapshots
		id := shown.until(func(c change) bool { return c.Cells["h-web5"][0] == "s-failed" }).id
		synctest.Wait()
		again := s.listen("plans/fleet?snapshot=old", id)
		synctest.Wait()
		s.fail("web3", "no space left")
		got := again.until(func(c change) bool { return c.Cells["h-web3"][0] == "s-failed" })
		if len(got.Cells) != 1 || got.Parts["roles"] != "" {
			t.Errorf("resumed stream: cells %v, parts %v", got.Cells, keysOf(got.Parts))
		}
	})
}

// TestStream_SendsAllOfAPageWhoseSnapshotIsTooOld changes hosts until the snapshot of the page is dropped. A page that connects then
// gets all parts, with the changes in them.
func TestStream_SendsAllOfAPageWhoseSnapshotIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedFleet(t, 5)
		first := s.quiet().shown()
		other := s.listen("plans/fleet?snapshot="+first, "") // keeps the feed reading
		for _, why := range []string{"first", "second", "third", "fourth", "fifth", "sixth"} {
			s.fail("web5", "attempt "+why)
			other.until(func(c change) bool { return strings.Contains(c.Parts["failures"], "attempt "+why) })
		}
		s.upgrade("web3")
		other.until(upgraded)
		for name, shown := range map[string]*stream{
			"old snapshot":                s.listen("plans/fleet?snapshot="+first, ""),
			"snapshot of another process": s.listen("plans/fleet", "of-another-process"),
		} {
			got := shown.until(func(c change) bool {
				return strings.Contains(c.Parts["roles"], `<a id="h-web3" href="fleet/hosts/web3" class="s-upgraded"`)
			})
			if got.Parts["summary"] == "" || len(got.Cells) > 0 {
				t.Errorf("%s: got parts %v and cells %v, want all parts", name, keysOf(got.Parts), got.Cells)
			}
		}
	})
}

func keysOf(m map[string]string) []string { return fleet.NaturalKeys(m) }

func TestPage_ShowsStaleDataWhenConsulIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedFleet(t, 5)
		shown := s.quiet().listen("plans/fleet?snapshot="+s.shown(), "")
		synctest.Wait()
		s.store.broken.Store(true)
		s.upgrade("web3") // wakes the watch
		if got := shown.until(stale); len(got.Cells) > 0 {
			t.Errorf("cells changed: %v", got.Cells)
		}
		s.store.broken.Store(false)
		got := shown.until(upgraded)
		if strings.Contains(got.Parts["summary"], "not available") {
			t.Error("the page still shows stale data")
		}
	})
}

// TestPage_ReadsTheLeaderAgainAfterAFailure fails only the read that follows that of the fleet.
func TestPage_ReadsTheLeaderAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedFleet(t, 5)
		shown := s.quiet().listen("plans/fleet?snapshot="+s.shown(), "")
		synctest.Wait()
		s.store.leaderBroken.Store(true)
		s.at("v1", time.Now(), "0816") // a host without a role: it wakes the watch, and nothing is due after it
		shown.until(stale)
		<-time.After(time.Minute) // until nothing that this write caused is due any more
		s.store.leaderBroken.Store(false)
		back := time.Now()
		shown.until(func(c change) bool { return c.Parts["summary"] != "" && !stale(c) })
		if waited := time.Since(back); waited > 10*time.Second {
			t.Errorf("the page was stale for %s after the failure", waited)
		}
	})
}

func TestFeed_StopsWithoutViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedFleet(t, 5)
		s.quiet()
		if s.store.waits.Load() == 0 {
			t.Error("no watches are running")
		}
		stopped := func(context.Context) (bool, error) { return s.store.waits.Load() == 0, nil }
		if err := wait.PollUntilContextTimeout(t.Context(), time.Second, time.Minute, true, stopped); err != nil {
			t.Fatalf("%d watches are still running: %v", s.store.waits.Load(), err)
		}
	})
}

func TestPlot_MarksHaltsAndClosedWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPipedFleet(t, 5)
		<-time.After(time.Minute) // a plot without a duration is empty
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
		<-time.After(time.Minute) // a halt without a duration is not drawn
		if _, err := plans.SetPause(t.Context(), "fleet", nil); err != nil {
			t.Fatal(err)
		}
		s.pass()
		until := func(what string) {
			t.Helper()
			for end := time.Now().Add(patience); ; <-time.After(time.Second) {
				_, body, _ := s.get("plans/fleet")
				if strings.Contains(body, what) {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("timed out waiting for %q on the page:\n%s", what, body)
				}
			}
		}
		until("lunch</title>")
		s.apply("version: v2\nwindows: {allow: [{schedule: '0 0 29 2 *', duration: 1m}]}")
		until(`class="closed"`)
		until("no window of windows.allow is open")
	})
}
