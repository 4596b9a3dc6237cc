// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// Failed is the message about a read that has failed.
type Failed struct {
	Text string
	At   time.Time
}

// tick is the message after each second.
type tick time.Time

// Model shows a picture in a terminal. The messages Digest, Sidebar and Failed change it.
type Model struct {
	// Quit is true if the operator has quit.
	Quit    bool
	picture Picture
	window  Window
	now     time.Time
	clock   func() time.Time
}

// New returns a model without an observation. The window has a default size until the size of the terminal is known.
func New(plan string, w Window, clock func() time.Time) Model {
	w.Width, w.Height = 80, 24
	return Model{picture: Picture{Digest: Digest{Plan: plan}}, window: w, clock: clock, now: clock()}
}

// Init starts the clock.
func (m Model) Init() tea.Cmd { return m.tick() }

// tick requests the next message after a second, so that ages grow.
func (m Model) tick() tea.Cmd {
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return tick(m.clock()) })
}

// Update returns the model after a message.
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

// press returns the model after a key press.
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

// scroll returns the number of rows with roles in the window, and the largest index of the first one.
func (p *Picture) scroll(now time.Time, w Window) (shown, last int) {
	parts, _ := p.parts(now, w, len(p.head(now, w)))
	if len(p.Roles) == 0 || len(parts) == 0 {
		return 0, 0
	}
	shown = parts[0].shown()
	return shown, parts[0].count - shown
}

// View returns the frame.
func (m Model) View() tea.View {
	if !m.window.Inline {
		v := tea.NewView(Frame(m.picture, m.now, m.window))
		v.AltScreen = true
		return v
	}
	window := m.window
	window.Height-- // for an empty last line, which bubbletea erases at the end
	return tea.NewView(Frame(m.picture, m.now, window) + "\n")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
