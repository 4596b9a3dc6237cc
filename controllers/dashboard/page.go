// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

//go:embed page
var files embed.FS

// page is a rendered page. It consists of parts, which are replaced in the browser when they change.
type page struct {
	Title string
	parts []part
	// missing means that the page shows an error: status code 404.
	missing bool
	cells   map[string]cell // by element ID
}

// part is an element and its content.
type part struct {
	id   string
	html template.HTML
	// key is compared in place of html to decide whether the part has changed. Empty means that html is compared.
	key string
	// parent is the ID of the part that contains this one. Empty means the page itself.
	parent string
}

func (p *page) add(id string, html template.HTML) {
	p.parts = append(p.parts, part{id: id, html: html})
}

// topLevel returns the parts that no other part contains.
func (p *page) topLevel() []layoutPart {
	var out []layoutPart
	for _, part := range p.parts {
		if part.parent == "" {
			out = append(out, layoutPart{part.id, part.html})
		}
	}
	return out
}

func (p *part) equal(q *part) bool {
	if p.key != "" || q.key != "" {
		return p.key == q.key
	}
	return p.html == q.html
}

// cell is the square of a host. It is updated on its own: no key of a part depends on it.
type cell struct {
	// Class selects the color and pattern. Label has the name and state.
	Class, Label string
}

// message has the parts and cells that differ, by element ID. A cell is its class and label.
type message struct {
	Parts map[string]template.HTML `json:"parts,omitempty"`
	Cells map[string][2]string     `json:"cells,omitempty"`
}

func (m *message) empty() bool { return len(m.Parts) == 0 && len(m.Cells) == 0 }

// changesSince returns the changes from an older page. Nil means that all of the page is new.
func (p *page) changesSince(from *page) message {
	m := message{Parts: map[string]template.HTML{}, Cells: map[string][2]string{}}
	before := map[string]*part{}
	old := map[string]cell{}
	if from != nil {
		for i := range from.parts {
			before[from.parts[i].id] = &from.parts[i]
		}
		old = from.cells
	}
	for i := range p.parts {
		now := &p.parts[i]
		if _, within := m.Parts[now.parent]; within {
			continue
		}
		if was := before[now.id]; was == nil || !now.equal(was) {
			m.Parts[now.id] = now.html
		}
	}
	if _, all := m.Parts[rolesPart]; all {
		return m
	}
	for id, now := range p.cells {
		if was, known := old[id]; !known || was != now {
			m.Cells[id] = [2]string{now.Class, now.Label}
		}
	}
	return m
}

// templates parses the embedded templates.
func templates() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"stamp": stamp, "lower": strings.ToLower, "path": url.PathEscape, "age": age, "line": oneLine,
	}).ParseFS(files, "page/*.tmpl"))
}

// render executes a template.
func (d *Dashboard) render(name string, data any) template.HTML {
	var b bytes.Buffer
	if err := d.templates.ExecuteTemplate(&b, name, data); err != nil {
		panic(fmt.Sprintf("template %s: %v", name, err)) // the template does not match its data
	}
	return template.HTML(b.String()) // escaped by html/template
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// age returns the time since a moment. The script of the page updates it in the same format.
func age(since, now time.Time) string {
	if since.IsZero() {
		return "unknown"
	}
	return duration.HumanDuration(max(now.Sub(since), 0))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// newestFirst returns the last events, newest first.
func newestFirst(events []fleet.Event, limit int) []fleet.Event {
	var out []fleet.Event
	for i := len(events) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(out, events[i])
	}
	return out
}
