// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// Failed is the message that a look has failed, and when.
type Failed struct {
	Text string
	At   time.Time
}

// tick is the message that a second has passed.
type tick time.Time

// Model shows a picture in a terminal. A Digest, an Sidebar and a Failed are the messages by which it changes.
type Model struct {
	// Quit says that whoever watched has had enough.
	Quit    bool
	picture Picture
	window  Window
	now     time.Time
	clock   func() time.Time
}

// New is a model that shows nothing of the plan yet. The window has the size that terminals have until theirs is known.
func New(plan string, w Window, clock func() time.Time) Model {
	w.Width, w.Height = 80, 24
	return Model{picture: Picture{Digest: Digest{Plan: plan}}, window: w, clock: clock, now: clock()}
}

// Init starts the clock.
func (m Model) Init() tea.Cmd { return m.tick() }

// tick lets the ages grow.
func (m Model) tick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick(m.clock()) })
}

// Update is the model after a message.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		m.now = time.Time(msg)
		return m, m.tick()
	case tea.WindowSizeMsg:
		m.window.Width, m.window.Height = msg.Width, msg.Height
	case Digest:
		m.picture.Digest, m.picture.Outage = msg, Outage{}
		m.now = later(m.now, msg.At)
	case Sidebar:
		m.picture.Sidebar = msg
	case Failed:
		if m.picture.Outage.Text == "" {
			m.picture.Outage.Since = msg.At
		}
		m.picture.Outage.Text = msg.Text
		m.now = later(m.now, msg.At)
	case tea.KeyPressMsg:
		return m.press(msg.String())
	}
	return m, nil
}

// press is the model after a key.
func (m Model) press(key string) (tea.Model, tea.Cmd) {
	shown, last := m.picture.scroll(m.now, m.window)
	first := min(m.window.First, last)
	switch key {
	case "q", "esc", "ctrl+c":
		m.Quit = true
		return m, tea.Quit
	case "down", "j":
		first++
	case "up", "k":
		first--
	case "pgdown":
		first += shown
	case "pgup":
		first -= shown
	}
	m.window.First = max(min(first, last), 0)
	return m, nil
}

// scroll is how many rows of roles the window shows, and how many are above them at most.
func (p *Picture) scroll(now time.Time, w Window) (shown, last int) {
	parts, _ := p.parts(now, w, len(p.head(now, w)))
	if len(p.Roles) == 0 || len(parts) == 0 {
		return 0, 0
	}
	shown = parts[0].shown()
	return shown, parts[0].count - shown
}

// View is the frame.
func (m Model) View() tea.View {
	if !m.window.Inline {
		v := tea.NewView(Frame(m.picture, m.now, m.window))
		v.AltScreen = true
		return v
	}
	window := m.window
	window.Height-- // for an empty line: the last one is erased at the end
	return tea.NewView(Frame(m.picture, m.now, window) + "\n")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
