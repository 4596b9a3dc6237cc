// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/planstore"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	// firstSnapshotTimeout is how long a page waits for the first snapshot.
	firstSnapshotTimeout = 15 * time.Second
	// DefaultLinger is the default of Options.Linger.
	DefaultLinger = 30 * time.Second
	// DefaultHeartbeat is the default of Options.Heartbeat.
	DefaultHeartbeat = 15 * time.Second
	// maxStreams limits the pages that are live at the same time.
	maxStreams = 500
	// maxFeeds limits the plans that are viewed at the same time.
	maxFeeds = 200
)

// Options configure a Dashboard.
type Options struct {
	Store store.Store
	Now   func() time.Time
	Log   logr.Logger
	// Linger is how long a feed keeps reading after its last viewer left. Zero means DefaultLinger.
	Linger time.Duration
	// Heartbeat is the interval of messages to a page when nothing changes. Zero means DefaultHeartbeat.
	Heartbeat time.Duration
}

// Dashboard is an http.Handler. Close ends all streams and reads.
type Dashboard struct {
	options   Options
	templates *template.Template
	mux       *http.ServeMux
	ctx       context.Context //nolint:containedctx // ends all feeds and streams
	stop      context.CancelFunc
	running   sync.WaitGroup
	streams   atomic.Int64
	epoch     string
	ids       atomic.Uint64
	names     planNames
	cache     *pageCache

	mu    sync.Mutex
	feeds map[string]*feed // by plan name; the list of plans has the empty name
}

// New returns a dashboard. It reads from the store when the first page is requested.
func New(o Options) *Dashboard {
	if o.Linger == 0 {
		o.Linger = DefaultLinger
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = DefaultHeartbeat
	}
	d := &Dashboard{options: o, templates: templates(), mux: http.NewServeMux(), feeds: map[string]*feed{},
		epoch: strconv.FormatInt(o.Now().UnixNano(), 36), cache: newPageCache()}
	d.names.read = planstore.Plans{Store: o.Store}.Names
	d.ctx, d.stop = context.WithCancel(context.Background())
	assets, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the files are embedded
	}
	d.mux.Handle("GET /assets/", http.StripPrefix("/assets/", hideTemplates(http.FileServerFS(assets))))
	d.route("/{$}", d.plansView)
	d.route("/plans/{plan}", d.planView)
	d.route("/plans/{plan}/changes", d.changesView)
	d.route("/plans/{plan}/hosts", d.hostsView)
	d.route("/plans/{plan}/hosts/{host}", d.hostView)
	return d
}

// Close ends all streams and feeds and waits for them.
func (d *Dashboard) Close() {
	d.stop()
	d.running.Wait()
}

// ServeHTTP handles GET and HEAD.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if tooLong(r) {
		http.Error(w, "the URL is too long", http.StatusRequestURITooLong)
		return
	}
	d.mux.ServeHTTP(w, r)
}

// hideTemplates does not serve the templates and the list of files.
func hideTemplates(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" || strings.HasSuffix(r.URL.Path, ".tmpl") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// view is a requested page.
type view struct {
	// plan selects the feed. Empty means the list of plans.
	plan string
	// name is the key of the page in a snapshot.
	name string
	// open means that the client chooses the name, so that there is no limit on the number of such pages.
	open bool
	// root is the relative URL of the list of plans.
	root   string
	render func(*snapshot) *page
}

// route serves a view as a page, or as a stream of its changes to clients that accept text/event-stream.
func (d *Dashboard) route(path string, of func(*http.Request) view) {
	d.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		v := of(r)
		if v.plan != "" && !keys.ValidSegment(v.plan) {
			d.renderError(w, v, http.StatusNotFound, fmt.Sprintf("%q is not a valid plan name", v.plan))
			return
		}
		f, err := d.feed(v.plan)
		if err != nil {
			d.renderError(w, v, statusOf(err), err.Error())
			return
		}
		defer f.join(d.ctx, &d.running)() //nolint:contextcheck // the feed is shared and outlives the request
		w.Header().Add("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			d.stream(w, r, v, f)
			return
		}
		d.serve(w, r, v, f)
	})
}

// feed returns the feed of a plan, or of the list of plans. It returns a *planstore.NotFoundError for a plan that does not exist,
// and errTooManyFeeds if all feeds have viewers.
func (d *Dashboard) feed(plan string) (*feed, error) {
	if f := d.existingFeed(plan); f != nil {
		return f, nil
	}
	read := d.followPlans
	if plan != "" {
		if err := d.names.check(d.ctx, plan); err != nil {
			return nil, err
		}
		read = d.followPlan(plan)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.feeds[plan]; f != nil {
		return f, nil
	}
	d.dropFeeds()
	if len(d.feeds) >= maxFeeds {
		return nil, errTooManyFeeds
	}
	d.feeds[plan] = &feed{read: read, linger: d.options.Linger}
	return d.feeds[plan], nil
}

var errTooManyFeeds = errors.New("too many plans are viewed at the same time")

func (d *Dashboard) existingFeed(plan string) *feed {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.feeds[plan]
}

// dropFeeds makes place for a feed: it drops the feeds without viewers if there are too many.
func (d *Dashboard) dropFeeds() {
	if len(d.feeds) < maxFeeds {
		return
	}
	for name, f := range d.feeds {
		if f.stopUnwatched() {
			delete(d.feeds, name)
		}
	}
}

// nextID returns a snapshot ID that is unique across processes.
func (d *Dashboard) nextID() string {
	return d.epoch + "-" + strconv.FormatUint(d.ids.Add(1), 10)
}

// serve writes the whole page.
func (d *Dashboard) serve(w http.ResponseWriter, r *http.Request, v view, f *feed) {
	s := f.next(r.Context(), nil, firstSnapshotTimeout)
	switch {
	case s == nil:
		d.renderError(w, v, http.StatusServiceUnavailable, fmt.Sprintf("Consul did not answer within %s", firstSnapshotTimeout))
		return
	case s.empty():
		d.renderError(w, v, statusOf(s.err), s.err.Error())
		return
	}
	p, status := d.page(s, v), http.StatusOK
	if p.missing {
		status = http.StatusNotFound
	}
	d.write(w, status, layout{Title: p.Title, Root: v.root, Snapshot: s.id, Parts: p.topLevel(), Plan: v.plan})
}

// page returns the page of a view in a snapshot.
func (d *Dashboard) page(s *snapshot, v view) *page {
	if v.open {
		return d.cache.page(s, v)
	}
	return s.page(v.name, v.render)
}

// shown returns the page of a view in the snapshot of an ID. Nil means that the page is not cached.
func (d *Dashboard) shown(f *feed, id string, v view) *page {
	if v.open {
		return d.cache.cached(id, v)
	}
	return f.pageAt(id, v.name)
}

// statusOf returns the status code of a page that shows only an error.
func statusOf(err error) int {
	if _, ok := errors.AsType[*planstore.NotFoundError](err); ok {
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

// renderError writes a page with an error.
func (d *Dashboard) renderError(w http.ResponseWriter, v view, status int, message string) {
	parts := []layoutPart{{ID: "summary", HTML: d.render("error", message)}}
	d.write(w, status, layout{Title: http.StatusText(status), Root: v.root, Parts: parts})
}

// layout is the data of the template "layout". Snapshot is the ID of the snapshot that the page shows.
type layout struct {
	Title, Root, Snapshot, Plan string
	Parts                       []layoutPart
}

type layoutPart struct {
	ID   string
	HTML template.HTML
}

func (d *Dashboard) write(w http.ResponseWriter, status int, l layout) {
	html := d.render("layout", l)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, html) // the client may be gone
}
