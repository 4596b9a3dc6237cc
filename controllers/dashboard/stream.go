// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

// stream tells a page what has changed since the sight that it shows, whose id it names when it begins and when it comes
// back after a cut. When that is long ago, it is told all.
func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request, v view, f *feed) {
	if d.streams.Add(1) > maxStreams {
		d.streams.Add(-1)
		http.Error(w, "too many pages are live", http.StatusServiceUnavailable)
		return
	}
	defer d.streams.Add(-1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)() //nolint:contextcheck // the stream ends with either
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep it back
	out := events{w: w, control: http.NewResponseController(w)}
	if out.write("retry: 2000\n\n") != nil {
		return
	}
	shows := r.URL.Query().Get("at")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		shows = id
	}
	d.tell(ctx, out, v, f, shows)
}

// tell writes what changes until the reader is gone.
func (d *Dashboard) tell(ctx context.Context, out events, v view, f *feed, shows string) {
	var last *sight
	shown := f.shown(shows, v.name)
	for ctx.Err() == nil {
		s := f.next(ctx, last, d.options.Beat)
		var err error
		switch {
		case ctx.Err() != nil:
			return
		case s == nil:
			err = out.write("event: beat\ndata:\n\n")
		case s.empty():
			err = out.message(s.id, message{Parts: map[string]template.HTML{"summary": d.render("refused", s.err.Error())}})
			shown = nil
		default:
			p := s.page(v.name, v.render)
			if m := p.since(shown); !m.empty() {
				err = out.message(s.id, m)
			}
			shown = p
		}
		if err != nil {
			return
		}
		if s != nil {
			last = s
		}
	}
}

// writeTimeout is how long a reader may take nothing.
const writeTimeout = 30 * time.Second

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e events) write(text string) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // a server may have none
	if _, err := fmt.Fprint(e.w, text); err != nil {
		return err
	}
	return e.control.Flush()
}

func (e events) message(id string, m message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return e.write("id: " + id + "\nevent: change\ndata: " + string(data) + "\n\n")
}
