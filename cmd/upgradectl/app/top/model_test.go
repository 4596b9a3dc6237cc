// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package top_test

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app/top"
)

// shown returns a model after messages, and its frame.
func shown(t *testing.T, m tea.Model, messages ...tea.Msg) (tea.Model, string) {
	t.Helper()
	for _, msg := range messages {
		m, _ = m.Update(msg)
	}
	return m, m.View().Content
}

func clock() time.Time { return noon }

func key(code rune) tea.Msg { return tea.KeyPressMsg{Code: code, Text: string(code)} }

func TestModel_KeysScrollRoles(t *testing.T) {
	begin := top.New("fleet", top.Window{}, clock)
	m, frame := shown(t, begin, wide(40).Digest)
	has := func(want, not string) {
		t.Helper()
		if !strings.Contains(frame, want) || strings.Contains(frame, not) {
			t.Errorf("%q is missing or %q is there:\n%s", want, not, frame)
		}
	}
	has("roleaa", "above")
	m, frame = shown(t, m, key('j'), tea.KeyPressMsg{Code: tea.KeyDown})
	has("… and 2 above, ", "roleab ")
	m, frame = shown(t, m, key('k'), tea.KeyPressMsg{Code: tea.KeyUp}, tea.KeyPressMsg{Code: tea.KeyUp})
	has("roleaa", "above")
	m, frame = shown(t, m, tea.KeyPressMsg{Code: tea.KeyPgDown})
	has("above", "roleaa ")
	pages := make([]tea.Msg, 10)
	for i := range pages {
		pages[i] = tea.KeyPressMsg{Code: tea.KeyPgDown}
	}
	m, frame = shown(t, m, pages...)
	has("rolebn", "below")
	_, frame = shown(t, m, key('k'))
	has("… and ", "rolebn") // one above the last row, not above the rows that the keys asked for
	_, frame = shown(t, m, wide(3).Digest)
	has("roleaa", "above")
}

func TestModel_KeysQuit(t *testing.T) {
	for _, press := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: tea.KeyEscape}, {Code: 'c', Mod: tea.ModCtrl}} {
		m, cmd := top.New("fleet", top.Window{}, clock).Update(press)
		if model, ok := m.(top.Model); !ok || !model.Quit || cmd == nil {
			t.Errorf("%s does not quit", press)
		}
	}
}

func TestModel_AgesGrowBetweenObservations(t *testing.T) {
	now := noon
	m, frame := shown(t, top.New("fleet", top.Window{}, func() time.Time { return now }), rolling().Digest)
	if !strings.Contains(frame, "75s") {
		t.Fatal(frame)
	}
	now = now.Add(10 * time.Second)
	tick := m.Init()()
	if m, frame = shown(t, m, tick); !strings.Contains(frame, "85s") {
		t.Errorf("ten seconds later:\n%s", frame)
	}
	if _, cmd := m.Update(tick); cmd == nil {
		t.Error("the clock stops after a second")
	}
}

func TestModel_ShowsAnOutageUntilTheNextObservation(t *testing.T) {
	begin := top.New("fleet", top.Window{}, clock)
	m, frame := shown(t, begin, top.Failed{Text: "refused", At: noon})
	if !strings.Contains(frame, "no answer for 0s, nothing has been read yet: refused") {
		t.Error(frame)
	}
	m, frame = shown(t, m, rolling().Digest)
	if strings.Contains(frame, "no answer") {
		t.Error(frame)
	}
	_, frame = shown(t, m, top.Failed{Text: "refused", At: noon}, top.Failed{Text: "no leader", At: noon.Add(9 * time.Second)})
	if !strings.Contains(frame, "no answer for 9s, what is shown was read 11s ago: no leader") {
		t.Error(frame)
	}
}

func TestModel_InlineLeavesTheAlternateScreen(t *testing.T) {
	for _, inline := range []bool{false, true} {
		if v := top.New("fleet", top.Window{Inline: inline}, clock).View(); v.AltScreen == inline {
			t.Errorf("inline %t: alternate screen %t", inline, v.AltScreen)
		}
	}
}
