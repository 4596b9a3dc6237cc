// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
)

// State is what the controller read: the plan and its orders.
type State struct {
	Plan string
	// Spec and Control are the plan's own keys, as they were read. A spec that does not exist was deleted.
	Spec, Control keys.Pair
	// Holds are all pairs below the tree HoldTree. Without a tree, they were not read, and the log keeps what it covers.
	Holds    []keys.Pair
	HoldTree string
	// WentBack says how the store was found to be restored from a backup. Empty means that it was not.
	WentBack string
}

// order is an order, or a part of one, that the log covers by its digest.
type order struct {
	// name is unique. It is the name of a field of the control, or class/subject.
	name string
	kind Kind
	// what says what was ordered. Orders that differ in their subjects only share an entry.
	what, subject string
	claim
	index  uint64
	digest string
}

// claim is who gave an order, and why, as its writer says.
type claim struct{ by, reason, accessor string }

// The names of orders, and the classes of those that have subjects.
const (
	nameSpec     = "spec"
	nameWentBack = "wentBack"
	nameMore     = "more"
	// nameUnreadable stands for orders that cannot be read.
	nameUnreadable = "unreadable"
	classHold      = "hold"
	classSetAside  = "setAside"
	// control stands for all names of orders in the control.
	control = "control"
)

const (
	// digestSize is the number of hexadecimal digits of a digest in the head.
	digestSize = 16
	// maxSubject bounds the name of a host or role with its scope.
	maxSubject = len("host/") + keys.MaxName
	// resumed is the sentence about the end of stops, which are its subjects.
	resumed = "resumed"
)

func newOrder(name string, kind Kind, value any, c claim, format string, args ...any) order {
	data, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("audit: cannot encode %T: %v", value, err)) // unreachable: strings, numbers and times only
	}
	c = claim{keys.Text(c.by, maxWord), keys.Text(c.reason, maxReason), keys.Text(c.accessor, maxWord)}
	return order{name: name, kind: kind, what: keys.Text(fmt.Sprintf(format, args...), maxWhat), claim: c, digest: short(digest(data))}
}

// about makes an order one about a subject of its class.
func (o order) about(subject string) order {
	o.subject = subject
	if len(subject) > maxSubject || !keys.ValidPath(subject) { // an operator's token can write any name
		o.subject = short(digest([]byte(subject)))
	}
	o.name += "/" + o.subject
	return o
}

// orders returns the orders of a state. It also returns the classes of orders that the state does not cover.
func (s *State) orders() (all []order, unknown []string) {
	if s.WentBack != "" {
		all = append(all, newOrder(nameWentBack, StoreWentBack, s.WentBack, claim{}, "%s", s.WentBack))
	}
	spec := newOrder(nameSpec, Spec, s.Spec.Value, claim{}, "stored a spec, sha256 %s", short(digest(s.Spec.Value)))
	spec.index = s.Spec.ModifyIndex
	all = append(all, spec)
	decoded, err := keys.DecodeControl(s.Control)
	orders := controlOrders(&decoded)
	if err != nil {
		unknown = append(unknown, control)
		orders = []order{newOrder(nameUnreadable, Control, s.Control.Value, claim{}, "the orders cannot be read: %v", err)}
	}
	for i := range orders {
		orders[i].index = s.Control.ModifyIndex
	}
	all = append(all, orders...)
	if s.HoldTree == "" {
		return all, append(unknown, classHold)
	}
	for _, p := range s.Holds {
		if place, ok := keys.PlaceOf(strings.TrimPrefix(p.Key, s.HoldTree)); ok {
			h := keys.DecodeHold(p)
			o := newOrder(classHold, Hold, p.Value, claim{h.Owner, h.Reason, h.Accessor}, "on hold:").about(place.String())
			o.index = p.ModifyIndex
			all = append(all, o)
		}
	}
	return all, unknown
}

// controlOrders returns the orders of a control.
func controlOrders(c *fleet.Control) []order {
	var all []order
	add := func(name string, kind Kind, p fleet.Pause, value any, format string, args ...any) {
		all = append(all, newOrder(name, kind, value, claim{p.By, p.Reason, p.Accessor}, format, args...))
	}
	if c.Pause != nil {
		add("pause", Pause, *c.Pause, c.Pause, "paused")
	}
	if c.Halt != nil {
		add("halt", Halt, fleet.Pause{Reason: c.Halt.Reason}, c.Halt, "halted version %s", c.Halt.Version)
	}
	if c.Abort != nil {
		add("abort", Abort, c.Abort.Pause, c.Abort, "aborted the spec with the digest %s", short(c.Abort.Digest))
	}
	if c.Ended != nil {
		add("ended", Resume, *c.Ended, c.Ended, resumed)
	}
	if c.Resumed != nil {
		add("resumed", Resume, *c.Resumed, c.Resumed, resumed)
	}
	if o := c.Override; o != nil {
		add("windowOverride", OverrideWindows, fleet.Pause{By: o.By, Reason: o.Reason, Accessor: o.Accessor}, o,
			"opened the windows for version %s", o.Version)
	}
	if o := c.Pin; o != nil {
		add("pin", Pin, fleet.Pause{By: o.By, Reason: o.Reason, Accessor: o.Accessor}, o,
			"revision %d in place of the spec with the digest %s", o.Revision, short(o.Digest))
	}
	if c.Promotion != nil {
		add("promotion", Promote, c.Promotion.Pause, c.Promotion, "promoted the canaries of version %s", c.Promotion.Version)
	}
	if c.Restored != nil {
		add("restored", Accept, c.Restored.Pause, c.Restored, "accepted a restored store, up to rollout %d", c.Restored.Rollout)
	}
	if c.Shrunk != nil {
		add("shrunk", Accept, c.Shrunk.Pause, c.Shrunk, "accepted a fleet of %d hosts", c.Shrunk.Hosts)
	}
	if c.Grown != nil {
		add("grown", Accept, c.Grown.Pause, c.Grown, "accepted the hosts that joined")
	}
	if c.Retry != nil {
		add("retry", Retry, c.Retry.Pause, c.Retry, "retry of %s", wording.First(slices.Sorted(maps.Keys(c.Retry.Hosts)), maxNames))
	}
	for _, host := range slices.Sorted(maps.Keys(c.SetAside)) {
		p := c.SetAside[host]
		all = append(all, newOrder(classSetAside, SetAside, p, claim{p.By, p.Reason, p.Accessor}, "set aside:").about(host))
	}
	return all
}

// end returns what an entry says about an order that is gone, without its subject.
func end(name string) order {
	class, subject, _ := strings.Cut(name, "/")
	switch class {
	case "pause", "halt", "abort":
		return order{kind: Resume, what: resumed, subject: class}
	case "pin":
		return order{kind: Unpin, what: "no revision is pinned"}
	case nameUnreadable:
		return order{kind: Control, what: "the orders can be read again"}
	case classHold:
		return order{kind: Unhold, what: "no longer on hold:", subject: subject}
	case classSetAside:
		return order{kind: SetAside, what: "no longer set aside:", subject: subject}
	}
	return order{kind: Control, what: "no longer ordered:", subject: class}
}

// short is the beginning of a digest, which another program may have written.
func short(text string) string { return keys.Text(text, digestSize) }

// maxNames is the number of hosts and roles that an entry names.
const maxNames = 5
