// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/hack/testtool"
)

// browserPatience ends a test whose browser does not answer, or whose condition never holds.
const browserPatience = 5 * time.Minute

// browser is a tab of a real browser. Console messages and requests to other sites fail the test.
type browser struct {
	testing.TB
	ctx context.Context

	mu      sync.Mutex
	console []string
	// offline allows messages about failed requests.
	offline bool
}

func newBrowser(t testing.TB) *browser {
	t.Helper()
	var binary string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if testtool.Found(name) && binary == "" {
			binary = name
		}
	}
	if binary == "" {
		testtool.Skip(t, "chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.WindowSize(1280, 900),
		chromedp.WSURLReadTimeout(browserPatience))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { cancel(); stop() })
	b := &browser{TB: t, ctx: ctx}
	b.start()
	b.do(cdplog.Enable(), network.Enable(), runtime.Enable(), emulation.SetFocusEmulationEnabled(true))
	return b
}

// other returns another tab of the same browser. Both have the focus, since a hidden tab is not live.
func (b *browser) other() *browser {
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.Cleanup(cancel)
	other := &browser{TB: b.TB, ctx: ctx}
	other.start()
	other.do(emulation.SetFocusEmulationEnabled(true))
	return other
}

func (b *browser) start() {
	b.Helper()
	if err := chromedp.Run(b.ctx); err != nil { // the browser ends with this context
		b.Fatal(err)
	}
	chromedp.ListenTarget(b.ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			b.console = append(b.console, e.Entry.Text+" "+e.Entry.URL)
		case *runtime.EventExceptionThrown:
			b.console = append(b.console, e.ExceptionDetails.Error())
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "http://127.0.0.1:") || !strings.Contains(e.Request.URL, basePath) {
				b.console = append(b.console, "request to "+e.Request.URL)
			}
		}
	})
	b.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, text := range b.console {
			if !b.offline || !strings.HasPrefix(text, "Failed to load resource: ") {
				b.Errorf("browser console: %s", text)
			}
		}
	})
}

func (b *browser) do(actions ...chromedp.Action) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var text string
		_ = chromedp.Run(b.ctx, chromedp.Text("body", &text))
		b.Fatalf("%v; text of the page:\n%s", err, text)
	}
}

func (b *browser) open(url string) {
	b.Helper()
	b.do(chromedp.Navigate(url), chromedp.WaitReady("main h1"))
}

func (b *browser) eval(script string) string {
	b.Helper()
	var out any
	b.do(chromedp.Evaluate(script, &out, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	text, _ := json.Marshal(out)
	return strings.Trim(string(text), `"`)
}

// until waits until a JavaScript condition is true.
func (b *browser) until(condition string) {
	b.Helper()
	b.do(chromedp.Poll(condition, nil, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(browserPatience)))
}

func (b *browser) live() { b.Helper(); b.until(`document.getElementById("live").className === "live"`) }

// picture saves a screenshot to the folder of the CI artifacts.
func (b *browser) picture(name string) {
	b.Helper()
	dir := os.Getenv("UPGRADE_PICTURES")
	if dir == "" {
		return
	}
	var data []byte
	b.do(chromedp.FullScreenshot(&data, 100))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o600); err != nil {
		b.Fatal(err)
	}
}

func TestBrowser_PageFollowsTheFleet(t *testing.T) {
	s := newFleet(t, 12)
	b := newBrowser(t)
	b.open(s.url(""))
	b.live()
	b.picture("plans")
	b.do(chromedp.Click("tbody th a"), chromedp.WaitReady("#h-web1"))
	b.live()
	b.picture("plan")
	for id, want := range map[string]string{
		"web1": "s-upgraded web1: Upgraded, AtVersion", "web3": "s-upgrading web3: Upgrading, Granted", "web4": "s-failed web4: Failed, ReportedFailure",
		"web9": "s-pending web9: Pending, NoFreeSlot", "db1": "s-held db1: Held, OnHold", "0815": "s-unknown 0815: Unknown, NoRole",
	} {
		if got := b.eval(fmt.Sprintf(`(e => e.className + " " + e.getAttribute("aria-label"))(document.getElementById("h-%s"))`, id)); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	b.eval(`document.body.dataset.kept = "yes"`)
	s.upgrade("web3")
	b.until(`document.getElementById("h-web3").className === "s-upgraded"`)
	s.pass()
	b.until(`document.getElementById("flight").textContent.includes("web7")`)
	b.until(`document.getElementById("events").textContent.includes("granted: web7")`)
	s.at("v1", time.Now(), "web13") // a new host
	b.until(`document.getElementById("h-web13") !== null`)
	if b.eval(`document.body.dataset.kept`) != "yes" {
		t.Error("the page was reloaded")
	}
}

func TestBrowser_PageReconnects(t *testing.T) {
	s := newFleet(t, 5)
	b := newBrowser(t)
	b.offline = true
	b.open(s.url("plans/fleet"))
	b.live()
	s.offline.Store(true)
	s.proxy.CloseClientConnections()
	b.until(`document.getElementById("live").className === "disconnected"`)
	s.upgrade("web3")
	s.offline.Store(false)
	b.live()
	b.until(`document.getElementById("h-web3").className === "s-upgraded"`)
}

func TestBrowser_SecondTabSharesTheFeed(t *testing.T) {
	s := newFleet(t, 5)
	b := newBrowser(t)
	b.open(s.url("plans/fleet"))
	b.live()
	s.upgrade("web3")
	b.until(`document.getElementById("h-web3").className === "s-upgraded"`)
	before := s.store.trees.Load()
	other := b.other()
	other.open(s.url("plans/fleet"))
	other.live()
	other.open(s.url("plans/fleet/hosts/web3"))
	other.live()
	if after := s.store.trees.Load(); after != before {
		t.Errorf("the second tab caused %d reads", after-before)
	}
	b.do(chromedp.Navigate("about:blank"))
}

func TestBrowser_KeyboardNavigation(t *testing.T) {
	s := newFleet(t, 80)
	b := newBrowser(t)
	b.open(s.url("plans/fleet"))
	b.live()
	focused := func() string { return b.eval(`document.activeElement.id`) }
	b.do(chromedp.Focus("#h-web1"), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
	if got := focused(); got != "h-web3" {
		t.Errorf("got %s two cells right of web1", got)
	}
	if got := b.eval(`document.getElementById("cursor").textContent`); got != "web3: Upgrading, Granted" {
		t.Errorf("cursor text: %q", got)
	}
	// A change that replaces the cells keeps the focus, the tab stops and the label.
	s.write(store.Op{Verb: store.Set, Key: keys.Layout{}.Record("v1", "web81"), Value: keys.EncodeTime(time.Now())})
	b.until(`document.getElementById("h-web81") !== null`)
	if got := focused() + " " + b.eval(`document.getElementById("cursor").textContent`); got != "h-web3 web3: Upgrading, Granted" {
		t.Errorf("after a change: %s", got)
	}
	if got := b.eval(`document.querySelectorAll('.cells a[tabindex="0"]').length + " " + document.activeElement.tabIndex`); got != "3 0" {
		t.Errorf("after a change: tab stops %s", got)
	}
	b.do(chromedp.KeyEvent(kb.ArrowDown))
	if got := focused(); got == "h-web3" || !strings.HasPrefix(got, "h-web") {
		t.Errorf("got %s below web3", got)
	}
	b.do(chromedp.KeyEvent(kb.ArrowUp), chromedp.KeyEvent(kb.End))
	if got := focused(); got != "h-web81" {
		t.Errorf("got %s at the end", got)
	}
	if got := b.eval(`document.querySelectorAll('.cells a[tabindex="0"]').length`); got != "3" {
		t.Errorf("got %s tab stops, want one for each role", got)
	}
	b.do(chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.Enter))
	b.do(chromedp.WaitReady("dl.facts"))
	if got := b.eval(`location.pathname`); !strings.HasSuffix(got, "/plans/fleet/hosts/web2") {
		t.Errorf("Enter on web2 opens %s", got)
	}
}

func TestBrowser_PagesAreAccessible(t *testing.T) {
	axe, err := os.ReadFile("../../hack/axe/node_modules/axe-core/axe.min.js")
	if err != nil {
		testtool.Skip(t, "axe-core")
	}
	s := newFleet(t, 12)
	b := newBrowser(t)
	for _, scheme := range []string{"light", "dark"} {
		b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		for name, path := range map[string]string{"plans": "", "plan": "plans/fleet", "host": "plans/fleet/hosts/web4",
			"hosts": "plans/fleet/hosts?state=Failed", "changes": "plans/fleet/changes"} {
			b.open(s.url(path))
			b.live()
			b.picture(name + "-" + scheme)
			b.do(chromedp.Evaluate(string(axe), nil))
			found := b.eval(`axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html + " " + n.failureSummary).join("; ")).join("\n"))`)
			if found != "" {
				t.Errorf("%s, %s: %s", name, scheme, found)
			}
		}
	}
}

func TestBrowser_EscapesTextsOfHosts(t *testing.T) {
	s := newFleet(t, 5)
	const host = `<img src=x onerror=alert(1)>`
	s.write(store.Op{Verb: store.Set, Key: keys.Layout{}.Record("v1", host), Value: []byte(host)},
		store.Op{Verb: store.Set, Key: keys.Layout{}.Report("web5"), Value: []byte(`{"role":"<img src=y>","version":"<img src=z>","phase":"<i>"}`)})
	b := newBrowser(t)
	for _, path := range []string{"plans/fleet", "plans/fleet/hosts", "plans/fleet/hosts/web5"} {
		b.open(s.url(path))
		b.live()
		if got := b.eval(`document.querySelectorAll("main img, main i").length`); got != "0" {
			t.Errorf("%s has %s elements from texts of hosts", path, got)
		}
	}
	b.open(s.url("plans/fleet/hosts/web4"))
	if got := b.eval(`document.querySelector("main").textContent.includes("<b>not found</b>") && !document.querySelector("main b")`); got != "true" {
		t.Errorf("the message of a host is not shown literally")
	}
}

func TestBrowser_DrawsTenThousandHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("the browser draws for seconds")
	}
	s := newFleet(t, 9990)
	b := newBrowser(t)
	b.open(s.url("plans/fleet"))
	b.live()
	if got := b.eval(`document.querySelectorAll(".cells a").length`); got != "9994" {
		t.Errorf("got %s cells", got)
	}
	b.picture("plan-10000")
	s.upgrade("web3")
	b.until(`document.getElementById("h-web3").className === "s-upgraded"`)
}

// BenchmarkPage shows a plan of 10,000 hosts in a browser. It measures the time to the first contentful paint, and the time
// from the report of a host until it is painted.
func BenchmarkPage(b *testing.B) {
	const granted = 1000
	s := newSite(b)
	s.at("v1", time.Now().Add(-time.Hour), append(names("web", 9000), names("db", 1000)...)...)
	s.apply(fmt.Sprintf("version: v2\ninstructions: {rollingRules: {global: %d}}", granted))
	s.pass()
	x := newBrowser(b)
	x.open(s.url("plans/fleet"))
	x.live()
	var paint, update time.Duration
	rounds := 0
	for b.Loop() {
		x.open(s.url("plans/fleet"))
		x.live()
		paint += milliseconds(x.eval(`performance.getEntriesByType("paint").find(p => p.name === "first-contentful-paint").startTime`))
		x.eval(`window.seen = new Promise(resolve => new MutationObserver((all, o) => { o.disconnect();
			requestAnimationFrame(() => setTimeout(() => resolve(performance.timeOrigin + performance.now()))) })
			.observe(document.getElementById("cells-web"), {attributes: true, subtree: true, attributeFilter: ["class"]})), 0`)
		started := time.Now()
		s.upgrade(fmt.Sprintf("web%d", rounds%granted+1))
		update += milliseconds(x.eval(`window.seen`)) - time.Duration(started.UnixNano())
		rounds++
	}
	b.ReportMetric(float64(paint.Milliseconds())/float64(rounds), "ms/first-paint")
	b.ReportMetric(float64(update.Milliseconds())/float64(rounds), "ms/update")
}

func milliseconds(text string) time.Duration {
	var ms float64
	_ = json.Unmarshal([]byte(text), &ms) // 0
	return time.Duration(ms * float64(time.Millisecond))
}
