// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/core/wording"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

const (
	// maxMessage limits an error message in the status, in bytes.
	maxMessage = 2 << 10
	// maxEvents limits the events of a source. The oldest are dropped.
	maxEvents = 32
	// maxSeen limits how many signed commits and tags the status remembers. The oldest are dropped.
	maxSeen = 16
	// maxUnreadable limits how much of a status that cannot be read is kept, in bytes.
	maxUnreadable = 64 << 10
)

// ReasonSynced is the reason of the conditions after a successful sync. All of these are reasons of events.
const (
	ReasonSynced    = "Synced"
	ReasonCorrected = "Corrected"
	ReasonTagMoved  = "TagMoved"
	ReasonRewound   = "Rewound"
	ReasonKept      = "PlanKept"
	// ReasonAcceptDropped means that the sync for which an operator accepted a commit did not apply it.
	ReasonAcceptDropped = "AcceptDropped"
)

// Status is the stored state of a source.
type Status struct {
	// Source has no credentials and no names of local files.
	Source Source `json:"source"`
	// Synced is the last revision that was completely applied. Nil means none.
	Synced *Synced `json:"synced,omitempty"`
	// Base is the commit that the next one must descend from: the last one of which any plan was applied. Empty means that it is
	// the one of Synced.
	Base string `json:"base,omitempty"`
	// Unreadable is the start of an earlier status that could not be read, so that Base is unknown. The next commit that is
	// applied ends it.
	Unreadable *string `json:"unreadable,omitempty"`
	// Seen says when the source first saw the latest commits and tags with a good signature, oldest first.
	Seen []Seen `json:"seen,omitempty"`
	// Attempted is the last revision that a sync found, applied or not.
	Attempted string `json:"attemptedRevision,omitempty"`
	// LastError says why the last sync failed. Nil means that it succeeded.
	LastError *LastError `json:"lastError,omitempty"`
	// HandledRequest is the ID of the last sync request that was handled, and HandledNumber its number.
	HandledRequest string `json:"handledRequest,omitempty"`
	HandledNumber  uint64 `json:"handledNumber,omitempty"`
	// Conditions are Ready, Reconciling and Stalled, as for plans.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Events are the latest events, oldest first.
	Events []fleet.Event `json:"events,omitempty"`
}

// Synced describes an applied revision.
type Synced struct {
	Revision string    `json:"revision"`
	Time     time.Time `json:"time"`
	// Seconds is the duration of the sync.
	Seconds float64 `json:"seconds"`
	// Plans are the names of its plans, sorted.
	Plans []string `json:"plans"`
}

// Seen is when a source first saw a commit or tag object.
type Seen struct {
	Object string    `json:"object"`
	Time   time.Time `json:"time"`
}

// LastError says why syncs fail, and since when they fail for this reason at this revision.
type LastError struct {
	Reason   string    `json:"reason"`
	Message  string    `json:"message"`
	Revision string    `json:"revision,omitempty"`
	Since    time.Time `json:"since"`
}

// DecodeStatus decodes the status of a source. It returns false if there is none, it is invalid, or it has a later schema. The
// next sync writes it again, with the old value in Unreadable.
func DecodeStatus(p keys.Pair) (s Status, ok bool) {
	s, err := decodeStatus(p)
	return s, err == nil
}

func decodeStatus(p keys.Pair) (Status, error) {
	s, err := keys.DecodeObject[Status](p)
	switch {
	case err != nil:
		return Status{}, err
	case keys.Source(s.Source.Name) != p.Key:
		return Status{}, fmt.Errorf("%s is not the status of that source: source.name is %q", p.Key, s.Source.Name)
	case (s.Base != "" || s.Synced != nil) && !repository.IsHash(s.base()):
		return Status{}, fmt.Errorf("%s has no commit that was applied last: base is %q", p.Key, s.Base)
	}
	return s, nil
}

// storedStatus returns the status that the next sync continues. A status that an earlier controller could not read is read again.
func storedStatus(p keys.Pair) Status {
	if !p.Exists() {
		return Status{}
	}
	s, err := decodeStatus(p)
	if err != nil {
		// Without the bytes that are not valid, the rest could be readable.
		start := strings.ToValidUTF8(string(p.Value[:min(len(p.Value), maxUnreadable)]), string(utf8.RuneError))
		return Status{Unreadable: &start}
	}
	if s.Unreadable == nil || len(*s.Unreadable) >= maxUnreadable {
		return s
	}
	p.Value = []byte(*s.Unreadable)
	if earlier, err := decodeStatus(p); err == nil {
		s.Base, s.Synced, s.Seen, s.Unreadable = earlier.base(), earlier.Synced, earlier.Seen, nil
	}
	return s
}

// Ready returns the Ready condition, which describes the last sync. Before the first sync its status is Unknown.
func (s *Status) Ready() metav1.Condition {
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown}
}

// memory is what earlier syncs and an operator say about the next one.
type memory struct {
	// base is the commit that the next one must descend from. Empty means any, unless unreadable says why it is unknown.
	base       string
	unreadable error
	// accept is a commit that an operator accepts in any case. Empty means none.
	accept, acceptedBy string
	seen               []Seen
}

// firstSeen returns when the source first saw an object. That is now for an object that it does not know.
func (m memory) firstSeen(object string, now time.Time) time.Time {
	for _, seen := range m.seen {
		if seen.Object == object {
			return seen.Time
		}
	}
	return now
}

// base returns the commit that the next one must descend from. Empty means any.
func (s *Status) base() string {
	if s.Base != "" || s.Synced == nil {
		return s.Base
	}
	return repository.CommitOf(s.Synced.Revision)
}

// memory returns what the status says about the next sync, which handles the request.
func (s *Status) memory(r Request) memory {
	m := memory{base: s.base(), seen: s.Seen}
	if s.Synced != nil && len(m.seen) == 0 { // the status was stored before it had them
		m.seen = []Seen{{Object: m.base, Time: s.Synced.Time}}
	}
	if s.Unreadable != nil {
		_, err := decodeStatus(keys.Pair{Key: keys.Source(s.Source.Name), Value: []byte(*s.Unreadable), ModifyIndex: 1})
		m.unreadable = cmp.Or(err, errors.New("only its start is kept"))
	}
	if !s.Handled(r) { // a request counts once
		m.accept, m.acceptedBy = r.Accept, r.by()
	}
	return m
}

// handled records that a sync handles the request.
func (s *Status) handled(r Request) {
	s.HandledRequest, s.HandledNumber = r.ID, max(r.Number, s.HandledNumber)
}

// Handled reports whether a sync handled the request, or a later one that replaced it.
func (s *Status) Handled(r Request) bool {
	return r.ID == s.HandledRequest || r.Number != 0 && r.Number <= s.HandledNumber
}

// accepted records that an accepted commit was not applied. Such a commit counts for no later sync.
func (s *Status) accepted(m memory, now time.Time) {
	if m.accept == "" || s.base() == m.accept {
		return
	}
	why := "the source is at " + s.Attempted
	if s.LastError != nil {
		why = "the sync failed: " + s.LastError.Reason
	}
	s.addEvent(now.UTC().Truncate(time.Second), fleet.EventWarning, ReasonAcceptDropped,
		fmt.Sprintf("%s, accepted by %s, was not applied: %s. Accept it again when the repository offers it", m.accept, m.acceptedBy, why))
}

// verified records when a commit or tag with a good signature was first seen.
func (s *Status) verified(object string, m memory, now time.Time) {
	first := Seen{Object: object, Time: m.firstSeen(object, now).UTC().Truncate(time.Second)}
	s.Seen = slices.DeleteFunc(slices.Clone(m.seen), func(seen Seen) bool { return seen.Object == object })
	s.Seen = append(s.Seen, first)
	s.Seen = s.Seen[max(0, len(s.Seen)-maxSeen):]
}

// moved records that plans of a commit were applied.
func (s *Status) moved(c Content, now time.Time) {
	if c.rewound != "" && s.Base != c.commit {
		s.addEvent(now.UTC().Truncate(time.Second), fleet.EventWarning, ReasonRewound, shortened(c.rewound))
	}
	s.Base, s.Unreadable = c.commit, nil
}

func (s *Status) addEvent(now time.Time, kind fleet.EventType, reason, message string) {
	number := uint64(1)
	if n := len(s.Events); n > 0 {
		number = s.Events[n-1].Number + 1
	}
	s.Events = append(s.Events, fleet.Event{Number: number, Time: now, Type: kind, Reason: reason, Object: "source/" + s.Source.Name,
		Message: message})
	s.Events = s.Events[max(0, len(s.Events)-maxEvents):]
}

func (s *Status) setCondition(now time.Time, kind string, is bool, reason, message string) {
	status := metav1.ConditionFalse
	if is {
		status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message,
		LastTransitionTime: metav1.NewTime(now)})
}

// succeeded records a successful sync.
func (s *Status) succeeded(c Content, changes Changes, started, now time.Time) {
	took := elapsed(started, now)
	now = now.UTC().Truncate(time.Second)
	message := fmt.Sprintf("applied %s: %s", c.Revision, wording.Count(len(c.Documents), "plan"))
	if kept := changes.kept(); kept != "" {
		message += "; " + kept
	}
	last := s.Synced
	switch text := changes.String(); {
	case last == nil || last.Revision != c.Revision:
		s.tagMoved(c.Revision, now)
		s.Synced = &Synced{Revision: c.Revision, Time: now, Seconds: took.Seconds()}
		s.addEvent(now, fleet.EventNormal, ReasonSynced, c.Revision+": "+cmp.Or(text, "no plan changed"))
	case text != "":
		s.addEvent(now, fleet.EventWarning, ReasonCorrected, "corrected plans that were changed outside Git: "+text)
	}
	if kept := changes.kept(); kept != "" && kept != keptOf(s.Ready().Message) {
		s.addEvent(now, fleet.EventWarning, ReasonKept, kept)
	}
	s.Synced.Plans = nil
	for _, d := range c.Documents {
		s.Synced.Plans = append(s.Synced.Plans, d.Plan.Name)
	}
	slices.Sort(s.Synced.Plans)
	s.Attempted, s.LastError = c.Revision, nil
	s.setCondition(now, v1alpha1.ConditionReady, true, ReasonSynced, message)
	s.setCondition(now, v1alpha1.ConditionReconciling, false, ReasonSynced, message)
	s.setCondition(now, v1alpha1.ConditionStalled, false, ReasonSynced, message)
}

// keptOf returns the part of a Ready message that lists the plans that were kept.
func keptOf(message string) string {
	_, kept, _ := strings.Cut(message, "; ")
	return kept
}

// tagMoved adds an event if the tag points to another commit than before.
func (s *Status) tagMoved(revision string, now time.Time) {
	if s.Synced == nil || s.Source.Ref.Tag == "" {
		return
	}
	s.addEvent(now, fleet.EventWarning, ReasonTagMoved, fmt.Sprintf("the tag moved from %s to %s", s.Synced.Revision, revision))
}

// failed records a failed sync. The last applied revision stays.
func (s *Status) failed(f *SyncError, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	message := shortened(f.Error())
	if f.Revision != "" {
		s.Attempted = f.Revision
	}
	old := s.LastError
	next := &LastError{Reason: f.Reason, Message: message, Revision: f.Revision, Since: now}
	if old != nil && old.Reason == next.Reason && old.Revision == next.Revision {
		next.Since = old.Since
	} else {
		s.addEvent(now, fleet.EventWarning, f.Reason, message)
	}
	s.LastError = next
	s.setCondition(now, v1alpha1.ConditionReady, false, f.Reason, message)
	s.setCondition(now, v1alpha1.ConditionReconciling, f.transient(), f.Reason, message)
	s.setCondition(now, v1alpha1.ConditionStalled, !f.transient(), f.Reason, message)
}

// shortened returns the first maxMessage bytes of a message.
func shortened(message string) string {
	if len(message) > maxMessage {
		return strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

// transient reports whether a retry can succeed without a change of the repository or the configuration.
func (e *SyncError) transient() bool {
	return e.Reason == string(repository.Unreachable) || e.Reason == ReasonStore
}
