// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dashboard serves pages that show plans and their hosts as they are. It writes nothing. All pages of a plan are
// made from what one reader of Consul sees, which reads while somebody looks and for a while after that.
//
// A page is made here, and stands without scripts. With them it changes by itself: a stream of server-sent events tells it
// which parts of it differ from what it shows. All its links are relative, so that it works below any path of a proxy.
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
	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/upgradeplan"
)

const (
	// firstSight is how long a page waits for what it shows.
	firstSight = 15 * time.Second
	// DefaultLinger is Options.Linger when that is 0.
	DefaultLinger = 30 * time.Second
	// DefaultBeat is Options.Beat when that is 0.
	DefaultBeat = 15 * time.Second
	// maxStreams is how many pages may be live at the same time.
	maxStreams = 500
	// maxFeeds is how many plans may be looked at at the same time.
	maxFeeds = 200
)

// Options are what a Dashboard works with.
type Options struct {
	Store store.Store
	Now   func() time.Time
	Log   logr.Logger
	// Linger is how long Consul is read on when nobody looks any more; 0: DefaultLinger.
	Linger time.Duration
	// Beat is how often a page is told that it is live although nothing has changed; 0: DefaultBeat.
	Beat time.Duration
}

// Dashboard is an http.Handler. Close ends what it reads.
type Dashboard struct {
	options   Options
	templates *template.Template
	mux       *http.ServeMux
	ctx       context.Context //nolint:containedctx // that of what it reads for those who look
	stop      context.CancelFunc
	running   sync.WaitGroup
	streams   atomic.Int64
	epoch     string
	numbers   atomic.Uint64

	mu    sync.Mutex
	feeds map[string]*feed // by plan; that of all plans has no name
}

// New reads nothing before somebody looks.
func New(o Options) *Dashboard {
	if o.Linger == 0 {
		o.Linger = DefaultLinger
	}
	if o.Beat == 0 {
		o.Beat = DefaultBeat
	}
	d := &Dashboard{options: o, templates: templates(), mux: http.NewServeMux(), feeds: map[string]*feed{},
		epoch: strconv.FormatInt(o.Now().UnixNano(), 36)}
	d.ctx, d.stop = context.WithCancel(context.Background())
	assets, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	d.mux.Handle("GET /assets/", http.StripPrefix("/assets/", onlyAssets(http.FileServerFS(assets))))
	d.route("/{$}", d.plansView)
	d.route("/plans/{plan}", d.planView)
	d.route("/plans/{plan}/changes", d.changesView)
	d.route("/plans/{plan}/hosts", d.hostsView)
	d.route("/plans/{plan}/hosts/{host}", d.hostView)
	return d
}

// Close ends all streams and all that is read, and returns when nothing of it goes on.
func (d *Dashboard) Close() {
	d.stop()
	d.running.Wait()
}

// ServeHTTP answers GET and HEAD.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	d.mux.ServeHTTP(w, r)
}

// onlyAssets keeps the templates and the list of files to ourselves.
func onlyAssets(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" || strings.HasSuffix(r.URL.Path, ".tmpl") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// view is a page as it is asked for.
type view struct {
	plan string // whose feed it is made from; empty: that of all plans
	name string // under which the pages of a sight are kept
	// root is the relative path to the list of plans.
	root   string
	render func(*sight) *page
}

// route serves a view as a page, and its changes as a stream of events to those who accept one.
func (d *Dashboard) route(path string, of func(*http.Request) view) {
	d.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		v := of(r)
		if v.plan != "" && !keys.ValidSegment(v.plan) {
			d.refuse(w, v, http.StatusNotFound, fmt.Sprintf("%q is no name of a plan", v.plan))
			return
		}
		f := d.feed(v.plan)
		if f == nil {
			d.refuse(w, v, http.StatusServiceUnavailable, "too many plans are looked at")
			return
		}
		defer f.join(d.ctx, &d.running)() //nolint:contextcheck // others look too: it ends with the last of them
		w.Header().Add("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			d.stream(w, r, v, f)
			return
		}
		d.serve(w, r, v, f)
	})
}

// feed is that of a plan, or of all plans. Nil: there are too many. Those that nobody looks at make room.
func (d *Dashboard) feed(plan string) *feed {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.feeds[plan]; f != nil {
		return f
	}
	if len(d.feeds) >= maxFeeds {
		for name, f := range d.feeds {
			if f.unused() {
				delete(d.feeds, name)
			}
		}
	}
	if len(d.feeds) >= maxFeeds {
		return nil
	}
	read := d.readPlan(plan)
	if plan == "" {
		read = d.readPlans
	}
	d.feeds[plan] = &feed{read: read, linger: d.options.Linger}
	return d.feeds[plan]
}

// number is an id that no other sight has, of this process or another.
func (d *Dashboard) number() string {
	return d.epoch + "-" + strconv.FormatUint(d.numbers.Add(1), 10)
}

// serve answers with the whole page.
func (d *Dashboard) serve(w http.ResponseWriter, r *http.Request, v view, f *feed) {
	s := f.next(r.Context(), nil, firstSight)
	switch {
	case s == nil:
		d.refuse(w, v, http.StatusServiceUnavailable, fmt.Sprintf("Consul has not answered for %s", firstSight))
		return
	case s.empty() && errors.As(s.err, new(*upgradeplan.NotFoundError)):
		d.refuse(w, v, http.StatusNotFound, s.err.Error())
		return
	case s.empty():
		d.refuse(w, v, http.StatusServiceUnavailable, s.err.Error())
		return
	}
	p := s.page(v.name, v.render)
	status := http.StatusOK
	if p.missing {
		status = http.StatusNotFound
	}
	d.write(w, status, layout{Title: p.Title, Root: v.root, At: s.id, Parts: p.outer(), Plan: v.plan})
}

// refuse answers with a page that says why there is none.
func (d *Dashboard) refuse(w http.ResponseWriter, v view, status int, why string) {
	parts := []layoutPart{{ID: "summary", HTML: d.render("refused", why)}}
	d.write(w, status, layout{Title: http.StatusText(status), Root: v.root, Parts: parts})
}

// layout is what each page has.
type layout struct {
	Title, Root, At, Plan string
	Parts                 []layoutPart
}

type layoutPart struct {
	ID   string
	HTML template.HTML
}

func (d *Dashboard) write(w http.ResponseWriter, status int, l layout) {
	html := d.render("layout", l)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, html) // who asked may be gone
}
