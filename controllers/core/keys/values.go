// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// The two values that the controller writes to a key of the enable_puppet tree. Every existing reader understands them.
const (
	Enabled  = "True"
	Disabled = "False"
)

// maxText is the number of bytes kept of a value that another writer chose.
const maxText = 128

// maxSeconds is the largest Unix time that is accepted. A larger number is not a time.
const maxSeconds = 1 << 40

// unhealthyFlag is set in the flags of an enabling key if the host was unhealthy when it was granted. The other bits
// are the time of the grant.
const unhealthyFlag = 1 << 62

// grantFlags returns the flags of an enabling key.
func grantFlags(g fleet.EnableKey) uint64 {
	flags := uint64(g.Time)
	if g.Unhealthy {
		flags |= unhealthyFlag
	}
	return flags
}

// DecodeEnableValue decodes a key of the enable_puppet tree: True, False, 1 or 0 without regard to case, or the name of a
// version. Any other value is Invalid and disables.
func DecodeEnableValue(p Pair) fleet.EnableValue {
	if !p.Exists() {
		return fleet.EnableValue{}
	}
	s := fleet.EnableValue{Granted: int64(min(p.Flags, maxSeconds)), Index: p.ModifyIndex}
	if t := p.Flags &^ unhealthyFlag; t != p.Flags && t != 0 && t <= maxSeconds {
		s.Granted, s.Unhealthy = int64(t), true
	}
	switch string(p.Value) { // constants avoid a copy of each value
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

// HoldFlags are the flags of a pause key that represents a hold, so that legacy hosts obey the hold. Operators own pause
// keys with other flags.
const HoldFlags = 0x686f6c64 // "hold"

// OfHold reports whether a pause key represents a hold. Readers that know holds read the hold instead.
func OfHold(p Pair) bool { return p.Exists() && p.Flags == HoldFlags }

// PlaceOf parses host/<name> or role/<name>.
func PlaceOf(rest string) (fleet.Place, bool) {
	for _, scope := range []fleet.Scope{fleet.ScopeHost, fleet.ScopeRole} {
		if name, ok := strings.CutPrefix(rest, scope.String()+"/"); ok && ValidSegment(name) {
			return fleet.Place{Scope: scope, Name: name}, true
		}
	}
	return fleet.Place{}, false
}

// DecodePause reports whether a pause key stops its scope. Only a value that contains "rue" does not stop it: legacy hosts
// decide the same way (check_puppet_paused of jorc).
func DecodePause(p Pair) bool {
	return p.Exists() && !strings.Contains(string(p.Value), "rue")
}

func bounded(value []byte) string {
	if len(value) > maxText {
		value = value[:maxText]
	}
	return Text(string(value), maxText)
}

// The flags of current_version: the number of the rollout, and two bits. A fleet is governed if the first is set.
const (
	governedFlag     = 1 << 63
	governedAction   = 1 << 62
	maxRollout       = 1<<48 - 1
	legacyActionFlag = 0x616374 // "act", in a fleet that is not governed
)

// CurrentFlags returns the flags of current_version in a governed fleet.
func CurrentFlags(rollout uint64, action bool) uint64 {
	flags := governedFlag | min(rollout, maxRollout)
	if action {
		flags |= governedAction
	}
	return flags
}

// DecodeCurrent decodes the key current_version.
func DecodeCurrent(p Pair) fleet.CurrentVersion {
	c := fleet.CurrentVersion{Name: DecodeVersion(p.Value), Index: p.ModifyIndex, HasAction: p.Flags == legacyActionFlag}
	if p.Flags&governedFlag != 0 {
		c.Governed, c.Rollout, c.HasAction = true, p.Flags&maxRollout, p.Flags&governedAction != 0
	}
	return c
}

// DecodeVersion decodes a version name as hosts do, without surrounding white space.
func DecodeVersion(value []byte) string { return strings.TrimSpace(bounded(value)) }

// EncodeTime encodes the value of a record: Unix seconds.
func EncodeTime(t time.Time) []byte { return strconv.AppendInt(nil, t.Unix(), 10) }

// DecodeTime decodes the value of a record. jorc wrote fractions of seconds, which are cut off. It returns the zero time
// for a value that is not a time.
func DecodeTime(value []byte) time.Time {
	whole, _, _ := strings.Cut(strings.TrimSpace(bounded(value)), ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds <= 0 || seconds > maxSeconds {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// EncodeStarted encodes the value of started/<host>.
func EncodeStarted(s fleet.Started) []byte { return EncodeObject(s) }

// EncodeGrant encodes the value of grants/<host>.
func EncodeGrant(g fleet.Grant) []byte { return EncodeObject(g) }

// DecodeGrant decodes grants/<host>. It returns nil if the key does not exist. A malformed grant permits nothing.
func DecodeGrant(p Pair) *fleet.Grant {
	if !p.Exists() {
		return nil
	}
	g, _ := decodeBounded[fleet.Grant](p)
	if len(g.ID) > maxWord || len(g.Version) > MaxName {
		g = fleet.Grant{}
	}
	g.Index = p.ModifyIndex
	return &g
}

// EncodeReport encodes the value of hosts/<host>.
func EncodeReport(r fleet.Report) []byte { return encode(r) }

// EncodeAction encodes the value of the key action. It leaves out the schema: an action of the previous release must not differ.
func EncodeAction(a fleet.Action) []byte { return encode(a) }

// DecodeAction decodes the key action. It returns nil if the key does not exist, and an action for no version if the value
// is malformed.
func DecodeAction(p Pair) *fleet.Action {
	if !p.Exists() {
		return nil
	}
	a, _ := DecodeObject[fleet.Action](p)
	return &a
}

// EncodeControl encodes the value of a plan's key control.
func EncodeControl(c fleet.Control) []byte { return EncodeObject(c) }

// EncodeLedger encodes the value of a plan's key ledger.
func EncodeLedger(l fleet.Ledger) []byte { return EncodeObject(l) }

// EncodeOrigin encodes the value of a plan's key manager.
func EncodeOrigin(o fleet.Origin) []byte { return EncodeObject(o) }

// EncodeEvent encodes the value of an event's key.
func EncodeEvent(e fleet.Event) []byte { return EncodeObject(e) }

// DecodeEvents decodes the events of a plan, oldest first. It skips malformed events.
func DecodeEvents(pairs []Pair) []fleet.Event {
	events := make([]fleet.Event, 0, len(pairs))
	for _, p := range pairs {
		if e, err := DecodeObject[fleet.Event](p); err == nil {
			boundEvent(&e)
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b fleet.Event) int { return cmp.Compare(a.Number, b.Number) })
	return events
}

// EncodeHold encodes the value of holds/host/<name> and holds/role/<name>.
func EncodeHold(h fleet.Hold) []byte { return EncodeObject(h) }

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("keys: cannot encode %T: %v", v, err)) // unreachable: strings, numbers and times only
	}
	return data
}

// DecodeStarted decodes started/<host>. It returns nil if the key does not exist. A malformed marker still counts: the host
// may have started.
func DecodeStarted(p Pair) *fleet.Started {
	if !p.Exists() {
		return nil
	}
	s, _ := decodeBounded[fleet.Started](p)
	if len(s.Version) > MaxName || len(s.From) > MaxName || len(s.Grant) > maxWord || len(s.By) > maxWord {
		s = fleet.Started{}
	}
	for _, text := range []*string{&s.Version, &s.From, &s.By, &s.Grant} {
		*text = Text(*text, maxWord)
	}
	s.Index = p.ModifyIndex
	return &s
}

// DecodeReport decodes hosts/<host>. It returns nil if the key does not exist. A malformed report still shows that the host
// has an agent. One of a later schema also shows that the agent knows grants.
func DecodeReport(p Pair) *fleet.Report {
	if !p.Exists() {
		return nil
	}
	r := decodeReport(p)
	r.Rollout = min(r.Rollout, maxRollout-1)
	return &r
}

// unreadable begins the message of a report that cannot be decoded.
const unreadable = "the report cannot be read: "

// ReportProblem returns why a report cannot be decoded.
func ReportProblem(p Pair) error {
	if what, bad := strings.CutPrefix(decodeReport(p).Message, unreadable); bad {
		return errors.New(what)
	}
	return nil
}

func decodeReport(p Pair) (r fleet.Report) {
	if len(p.Value) > MaxValue {
		return fleet.Report{Schema: fleet.ReportSchema, Message: unreadable + fmt.Sprintf("its value has more than %d bytes", MaxValue)}
	}
	if unmarshalFast(p.Value, &r) != nil {
		return fleet.Report{Message: unreadable + bounded(p.Value)}
	}
	if r.Schema > fleet.ReportSchema {
		err := &SchemaError{p.Key, r.Schema, fleet.ReportSchema}
		return fleet.Report{Schema: fleet.ReportSchema, Message: unreadable + err.Error()}
	}
	if wrong := boundReport(&r); wrong != "" {
		return fleet.Report{Schema: r.Schema, Message: unreadable + wrong}
	}
	return r
}

// unmarshalFast accepts what encoding/json accepts, but for a comma in times. It takes half of the time: a fleet has as many
// reports as hosts.
func unmarshalFast(data []byte, into any) error {
	return jsonv2.Unmarshal(data, into, jsonv2.MatchCaseInsensitiveNames(true), jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true))
}

// DecodeHold decodes a hold. It returns nil if the key does not exist. A malformed hold never expires.
func DecodeHold(p Pair) *fleet.Hold {
	if !p.Exists() {
		return nil
	}
	h, err := decodeBounded[fleet.Hold](p)
	boundOrder(&h.Owner, &h.Accessor, &h.Reason)
	h.Plan = Text(h.Plan, maxWord)
	if later, ok := errors.AsType[*SchemaError](err); ok {
		h.Reason = later.Error()
	} else if err != nil {
		h.Reason = "the hold cannot be read: " + bounded(p.Value)
	}
	return &h
}

// DecodeOrigin decodes a plan's key manager. A missing or malformed value is no origin: the next sync writes it again. The error
// is a *SchemaError.
func DecodeOrigin(p Pair) (fleet.Origin, error) {
	origin, err := DecodeObject[fleet.Origin](p)
	origin.Source, origin.Path = Text(origin.Source, maxWord), Text(origin.Path, MaxMessage)
	origin.Revision = Text(origin.Revision, maxWord)
	if later, ok := errors.AsType[*SchemaError](err); ok {
		return origin, later
	}
	return origin, nil
}

// DecodeControl decodes a plan's key control. A missing key is an error. Earlier releases stored no kind of a pause: there, the
// reason says that global-disable-puppet set it.
func DecodeControl(p Pair) (fleet.Control, error) {
	c, err := DecodeObject[fleet.Control](p)
	boundControl(&c)
	if c.Pause != nil && c.Pause.Kind == "" && c.Pause.Reason == "global-disable-puppet" {
		c.Pause.Kind = fleet.PausedByDisablePuppet
	}
	return c, err
}

// DecodeLedger decodes a plan's key ledger. A missing key is an error. A ledger is written after what its watermarks date: it
// was copied from another store if one of them is not below its own index.
func DecodeLedger(p Pair) (fleet.Ledger, error) {
	l, err := DecodeObject[fleet.Ledger](p)
	l.Version, l.WentBack = Text(l.Version, MaxName), Text(l.WentBack, MaxMessage)
	l.Roles = slices.DeleteFunc(l.Roles, func(role string) bool { return !ValidName(role) })
	if l.Watermarks.Last().Index >= p.ModifyIndex {
		l.Watermarks = nil
	}
	return l, err
}
