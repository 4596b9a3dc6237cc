// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// The bounds of what others write, in bytes. A host's own keys and holds that exceed them cannot be read. Texts are cut off.
const (
	// MaxValue bounds the value of a grant, a started marker, a report and a hold.
	MaxValue = 16 << 10
	// MaxName bounds the names of hosts and versions, and MaxRole those of roles.
	MaxName = 128
	MaxRole = 63
	// MaxMessage bounds the message of a report and the reason of an order.
	MaxMessage = 4 << 10
	// maxWord bounds other words.
	maxWord = 128
	// maxObject bounds the key that an event is about.
	maxObject = 1 << 10
)

// MaxStored returns how many bytes of the value of a key readers need. The rest is not kept in memory: longer values of hosts and
// holds cannot be decoded, and those of records are no times. 0 means all.
func MaxStored(key string) int {
	switch tree := "/" + key; {
	case strings.Contains(tree, "/"+RunningVersions+"/"), strings.Contains(tree, "/"+RunningVersionsOld+"/"):
		return maxText + 1
	case strings.Contains(tree, "/"+root+"hosts/"), strings.Contains(tree, "/"+root+"started/"),
		strings.Contains(tree, "/"+root+"grants/"), strings.Contains(tree, "/"+root+"holds/"):
		return MaxValue + 1
	}
	return 0
}

// tooLong says that a value is longer than allowed.
func tooLong(what string, size, most int) string {
	return fmt.Sprintf("%s has %d bytes, and at most %d are allowed", what, size, most)
}

// ValidName reports whether s is the name of a host or version, and ValidRole whether it is that of a role.
func ValidName(s string) bool { return len(s) <= MaxName && ValidSegment(s) }

// ValidRole reports whether s is the name of a role.
func ValidRole(s string) bool { return len(s) <= MaxRole && ValidSegment(s) }

// Text returns a text that another program wrote, bounded and without characters that control a terminal or reverse the direction of
// writing. Line breaks stay.
func Text(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	if printable(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// printable reports whether s is printable ASCII, so that most texts are not copied.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// boundReport bounds and cleans a report, and returns what is too long for that. The message and the reason are cut off.
func boundReport(r *fleet.Report) string {
	for _, s := range [...]struct {
		what string
		text *string
		most int
	}{{"role", &r.Role, MaxRole}, {"version", &r.Version, MaxName}, {"reached.version", &r.Reached.Version, MaxName},
		{"reached.grant", &r.Reached.Grant, maxWord}, {"phase", (*string)(&r.Phase), maxWord}, {"machine", &r.Machine, maxWord},
		{"agentVersion", &r.AgentVersion, maxWord},
		{"otherMachine.machine", &r.Other.Machine, maxWord}} {
		if len(*s.text) > s.most {
			return tooLong(s.what, len(*s.text), s.most)
		}
		*s.text = Text(*s.text, s.most)
	}
	r.Message, r.Reason = Text(r.Message, MaxMessage), Text(r.Reason, maxWord)
	return ""
}

// decodeBounded decodes a stored object whose value is not longer than MaxValue.
func decodeBounded[T any](p Pair) (v T, err error) {
	if len(p.Value) > MaxValue {
		return v, errors.New(tooLong(p.Key, len(p.Value), MaxValue))
	}
	return DecodeObject[T](p)
}

// boundControl bounds and cleans the texts of orders, which messages repeat.
func boundControl(c *fleet.Control) {
	orders := []*fleet.Pause{c.Pause, c.Resumed, c.Ended}
	if c.Abort != nil {
		orders = append(orders, &c.Abort.Pause)
	}
	if c.Promotion != nil {
		orders = append(orders, &c.Promotion.Pause)
	}
	if c.Restored != nil {
		orders = append(orders, &c.Restored.Pause)
	}
	if c.Shrunk != nil {
		orders = append(orders, &c.Shrunk.Pause)
	}
	if c.Grown != nil {
		orders = append(orders, &c.Grown.Pause)
	}
	if c.Retry != nil {
		orders = append(orders, &c.Retry.Pause)
	}
	for _, o := range orders {
		if o != nil {
			boundOrder(&o.By, &o.Accessor, &o.Reason)
		}
	}
	for host, order := range c.SetAside {
		boundOrder(&order.By, &order.Accessor, &order.Reason)
		c.SetAside[host] = order
	}
	if c.Halt != nil {
		c.Halt.Reason = Text(c.Halt.Reason, MaxMessage)
	}
	if c.Pin != nil {
		boundOrder(&c.Pin.By, &c.Pin.Accessor, &c.Pin.Reason)
	}
	if c.Override != nil {
		boundOrder(&c.Override.By, &c.Override.Accessor, &c.Override.Reason)
	}
}

// boundEvent bounds and cleans an event.
func boundEvent(e *fleet.Event) {
	e.Type, e.Reason = fleet.EventType(Text(string(e.Type), maxWord)), Text(e.Reason, maxWord)
	e.Object, e.Version, e.Message = Text(e.Object, maxObject), Text(e.Version, MaxName), Text(e.Message, MaxMessage)
}

func boundOrder(by, accessor, reason *string) {
	*by, *accessor, *reason = Text(*by, maxWord), Text(*accessor, maxWord), Text(*reason, MaxMessage)
}
