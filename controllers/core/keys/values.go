// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// The only two values that are written to a key of the enable_puppet tree: every reader that is out there understands
// these.
const (
	Enabled  = "True"
	Disabled = "False"
)

// maxText bounds what is kept of a value that somebody else wrote.
const maxText = 128

// maxSeconds bounds the times that are read: what is later is so far off that it only can be no time.
const maxSeconds = 1 << 40

// unhealthyFlag in the flags of a key that enables says that the host was unhealthy then; the rest is the time.
const unhealthyFlag = 1 << 62

// grantFlags are the flags of a key that enables.
func grantFlags(g fleet.Grant) uint64 {
	flags := uint64(g.Time)
	if g.Unhealthy {
		flags |= unhealthyFlag
	}
	return flags
}

// DecodeEnableValue reads a key of the enable_puppet tree: True and False and 1 and 0 without regard to case, or the name of
// a version. Anything else is Invalid and disables.
func DecodeEnableValue(p Pair) fleet.EnableValue {
	if !p.Exists() {
		return fleet.EnableValue{}
	}
	s := fleet.EnableValue{Granted: int64(min(p.Flags, maxSeconds)), Index: p.ModifyIndex}
	if t := p.Flags &^ unhealthyFlag; t != p.Flags && t != 0 && t <= maxSeconds {
		s.Granted, s.Unhealthy = int64(t), true
	}
	switch string(p.Value) { // without a copy of each
	case Enabled:
		s.Text, s.Value = Enabled, fleet.True
		return s
	case Disabled:
		s.Text, s.Value = Disabled, fleet.False
		return s
	}
	s.Text = bounded(p.Value)
	switch text := strings.ToLower(s.Text); {
	case text == "true" || text == "1":
		s.Value = fleet.True
	case text == "false" || text == "0":
		s.Value = fleet.False
	case ValidSegment(s.Text):
		s.Value = fleet.Version
	default:
		s.Value = fleet.Invalid
	}
	return s
}

// HoldFlags marks a pause key that stands for a hold, so that hosts in the field obey it. Pause keys with other flags are
// operators' own.
const HoldFlags = 0x686f6c64 // "hold"

// OfHold says whether a pause key stands for a hold. Who knows holds goes by the hold instead.
func OfHold(p Pair) bool { return p.Exists() && p.Flags == HoldFlags }

// PlaceOf is the host or role of a key that ends in host/<name> or role/<name>, with what stands before that cut off.
func PlaceOf(rest string) (fleet.Place, bool) {
	for _, scope := range []fleet.Scope{fleet.ScopeHost, fleet.ScopeRole} {
		if name, ok := strings.CutPrefix(rest, scope.String()+"/"); ok && ValidSegment(name) {
			return fleet.Place{Scope: scope, Name: name}, true
		}
	}
	return fleet.Place{}, false
}

// DecodePause says whether a pause key stops its scope. Hosts in the field take only a value with "rue" in it for a no
// to the pause (check_puppet_paused), and so do we: what is neither is a stop.
func DecodePause(p Pair) bool {
	return p.Exists() && !strings.Contains(string(p.Value), "rue")
}

func bounded(value []byte) string {
	if len(value) > maxText {
		value = value[:maxText]
	}
	return strings.ToValidUTF8(string(value), "\uFFFD")
}

// DecodeCurrent reads the key current_version.
func DecodeCurrent(p Pair) fleet.CurrentVersion {
	return fleet.CurrentVersion{Name: DecodeVersion(p.Value), Index: p.ModifyIndex, HasAction: p.Flags == ActionFlags}
}

// DecodeVersion reads a version name as hosts do: without the white space around it.
func DecodeVersion(value []byte) string { return strings.TrimSpace(bounded(value)) }

// EncodeTime is the value of a record: Unix seconds.
func EncodeTime(t time.Time) []byte { return strconv.AppendInt(nil, t.Unix(), 10) }

// DecodeTime reads the value of a record, which jorc wrote with a fraction. What cannot be read is the zero time.
func DecodeTime(value []byte) time.Time {
	whole, _, _ := strings.Cut(strings.TrimSpace(bounded(value)), ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds <= 0 || seconds > maxSeconds {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// EncodeStarted and EncodeReport are the values of started/<host> and hosts/<host>.
func EncodeStarted(s fleet.Started) []byte { return encode(s) }
func EncodeReport(r fleet.Report) []byte   { return encode(r) }

// ActionFlags marks a current_version that an action goes with: a host that does not find the action must not upgrade
// itself instead.
const ActionFlags = 0x616374 // "act"

// EncodeAction is the value of the key action.
func EncodeAction(a fleet.Action) []byte { return encode(a) }

// DecodeAction reads the key action. One that cannot be read is for no version.
func DecodeAction(p Pair) *fleet.Action {
	if !p.Exists() {
		return nil
	}
	var a fleet.Action
	if json.Unmarshal(p.Value, &a) != nil {
		return &fleet.Action{}
	}
	return &a
}

// EncodeControl and EncodeLedger are the values of a plan's keys of these names.
func EncodeControl(c fleet.Control) []byte { return encode(c) }
func EncodeLedger(l fleet.Ledger) []byte   { return encode(l) }

// EncodeOrigin is the value of a plan's key manager.
func EncodeOrigin(o fleet.Origin) []byte { return encode(o) }

// EncodeEvent is the value of an event's key.
func EncodeEvent(e fleet.Event) []byte { return encode(e) }

// DecodeEvents reads the events below a plan's prefix of events, the oldest first. What cannot be read is left out.
func DecodeEvents(pairs []Pair) []fleet.Event {
	events := make([]fleet.Event, 0, len(pairs))
	for _, p := range pairs {
		var e fleet.Event
		if json.Unmarshal(p.Value, &e) == nil {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b fleet.Event) int { return cmp.Compare(a.Number, b.Number) })
	return events
}

// EncodeHold is the value of holds/host/<name> and holds/role/<name>.
func EncodeHold(h fleet.Hold) []byte { return encode(h) }

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("keys: a value of %T cannot be encoded: %v", v, err)) // strings, numbers and times only
	}
	return data
}

// DecodeStarted reads started/<host>. A mark that cannot be read is a mark all the same: the host may have begun.
func DecodeStarted(p Pair) *fleet.Started {
	if !p.Exists() {
		return nil
	}
	var s fleet.Started
	if json.Unmarshal(p.Value, &s) != nil {
		s = fleet.Started{}
	}
	s.Index = p.ModifyIndex
	return &s
}

// DecodeReport reads hosts/<host>. One that cannot be read still tells that the host has an agent.
func DecodeReport(p Pair) *fleet.Report {
	if !p.Exists() {
		return nil
	}
	var r fleet.Report
	if json.Unmarshal(p.Value, &r) != nil {
		r = fleet.Report{Message: "the report cannot be read: " + bounded(p.Value)}
	}
	return &r
}

// DecodeHold reads a hold. One that cannot be read holds without end.
func DecodeHold(p Pair) *fleet.Hold {
	if !p.Exists() {
		return nil
	}
	var h fleet.Hold
	if json.Unmarshal(p.Value, &h) != nil {
		h = fleet.Hold{Reason: "the hold cannot be read: " + bounded(p.Value)}
	}
	return &h
}

// DecodeOrigin reads a plan's key manager. One that cannot be read is none: the next sync writes it again.
func DecodeOrigin(p Pair) fleet.Origin {
	origin, err := decode[fleet.Origin](p)
	if err != nil {
		return fleet.Origin{}
	}
	return origin
}

// DecodeControl and DecodeLedger read a plan's keys of these names; a missing key is an error.
func DecodeControl(p Pair) (fleet.Control, error) { return decode[fleet.Control](p) }
func DecodeLedger(p Pair) (fleet.Ledger, error)   { return decode[fleet.Ledger](p) }

func decode[T any](p Pair) (v T, err error) {
	if !p.Exists() {
		return v, fmt.Errorf("%s does not exist", p.Key)
	}
	if err := json.Unmarshal(p.Value, &v); err != nil {
		return v, fmt.Errorf("%s cannot be read: %w", p.Key, err)
	}
	return v, nil
}
