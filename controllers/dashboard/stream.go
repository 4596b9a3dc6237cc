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

// stream sends the changes since the snapshot that the page shows. The client sends the ID of that snapshot when it connects
// and reconnects. If the snapshot is too old, stream sends the whole page.
func (d *Dashboard) stream(w http.ResponseWriter, r *http.Request, v view, f *feed) {
	if d.streams.Add(1) > maxStreams {
		d.streams.Add(-1)
		http.Error(w, "too many live pages", http.StatusServiceUnavailable)
		return
	}
	defer d.streams.Add(-1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)() //nolint:contextcheck // the stream ends with either
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx must not buffer
	out := events{w: w, control: http.NewResponseController(w)}
	if out.write("retry: 2000\n\n") != nil {
		return
	}
	shows := r.URL.Query().Get("snapshot")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		shows = id
	}
	d.sendChanges(ctx, out, v, f, shows)
}

// sendChanges writes changes until the client is gone.
func (d *Dashboard) sendChanges(ctx context.Context, out events, v view, f *feed, shows string) {
	var last *snapshot
	shown := d.shown(f, shows, v)
	for ctx.Err() == nil {
		s := f.next(ctx, last, d.options.Heartbeat)
		var err error
		switch {
		case ctx.Err() != nil:
			return
		case s == nil:
			err = out.write("event: heartbeat\ndata:\n\n")
		case s.empty():
			err = out.message(s.id, message{Parts: map[string]template.HTML{"summary": d.render("error", s.err.Error())}})
			shown = nil
		default:
			p := d.page(s, v)
			if m := p.changesSince(shown); !m.empty() {
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

// writeTimeout limits one write to a client.
const writeTimeout = 30 * time.Second

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e events) write(text string) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // not all servers support deadlines
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
