// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

//go:embed page
var files embed.FS

// page is what a browser shows, in parts that are replaced when they change.
type page struct {
	Title string
	parts []part
	// missing says that there is nothing of that name.
	missing bool
	cells   map[string]cell // by the id of their element
}

// part is an element and what is in it.
type part struct {
	id   string
	html template.HTML
	// key is what part is replaced for when it differs; empty: any difference in html.
	key string
	// in is the part in whose html this one is; empty: it stands on the page itself.
	in string
}

func (p *page) add(id string, html template.HTML) {
	p.parts = append(p.parts, part{id: id, html: html})
}

// outer are the parts that stand on the page itself.
func (p *page) outer() []layoutPart {
	var out []layoutPart
	for _, part := range p.parts {
		if part.in == "" {
			out = append(out, layoutPart{part.id, part.html})
		}
	}
	return out
}

func (p *part) same(q *part) bool {
	if p.key != "" || q.key != "" {
		return p.key == q.key
	}
	return p.html == q.html
}

// cell is a host as a small field. It is part of another part's html, and of no key.
type cell struct {
	// Class has its colour and pattern, and Label its name and state.
	Class, Label string
}

// message is what a browser is told: the parts and cells that differ.
type message struct {
	Parts map[string]template.HTML `json:"parts,omitempty"`
	Cells map[string][2]string     `json:"cells,omitempty"`
}

func (m *message) empty() bool { return len(m.Parts) == 0 && len(m.Cells) == 0 }

// since is what has changed between two pages; from nil: all of it.
func (p *page) since(from *page) message {
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
		if _, within := m.Parts[now.in]; within {
			continue
		}
		if was := before[now.id]; was == nil || !now.same(was) {
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

// templates are those of package page.
func templates() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"stamp": stamp, "lower": strings.ToLower, "percent": percent, "age": age, "line": oneLine,
	}).ParseFS(files, "page/*.tmpl"))
}

// render is a template with its data.
func (d *Dashboard) render(name string, data any) template.HTML {
	var b bytes.Buffer
	if err := d.templates.ExecuteTemplate(&b, name, data); err != nil {
		panic(fmt.Sprintf("template %s: %v", name, err)) // the template does not fit its data
	}
	return template.HTML(b.String()) // it comes from html/template
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// age is how long ago that was, as kubectl writes it; a browser goes on counting.
func age(since, now time.Time) string {
	if since.IsZero() {
		return "unknown"
	}
	d := max(now.Sub(since), 0).Truncate(time.Second)
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

func percent(part, of int) int {
	if of == 0 {
		return 0
	}
	return part * 100 / of
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// newestFirst are the last events, at most so many.
func newestFirst(events []fleet.Event, most int) []fleet.Event {
	var out []fleet.Event
	for i := len(events) - 1; i >= 0 && len(out) < most; i-- {
		out = append(out, events[i])
	}
	return out
}
