// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package gitsync

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jiocloud/upgrade-controller/apis/upgrade/v1alpha1"
	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync/repository"
)

const (
	// maxMessage bounds an error in the status, in bytes.
	maxMessage = 2 << 10
	// maxEvents is how many events of a source are kept.
	maxEvents = 32
)

// The reason of the conditions when all is well, and that of one more event.
const (
	ReasonSynced    = "Synced"
	ReasonCorrected = "Corrected"
	ReasonTagMoved  = "TagMoved"
	ReasonKept      = "PlanKept"
)

// Status is what is kept of a source: what it is, and how it went. It is written when something has changed.
type Status struct {
	// Source is without the names of files with credentials.
	Source Source `json:"source"`
	// Synced is the last revision that was applied as a whole; nil: none was.
	Synced *Synced `json:"synced,omitempty"`
	// Attempted is the last revision that was found.
	Attempted string `json:"attemptedRevision,omitempty"`
	// LastError is why the last sync failed; nil: it did not.
	LastError *LastError `json:"lastError,omitempty"`
	// Handled is the last request for a sync that was carried out.
	Handled string `json:"handledRequest,omitempty"`
	// Conditions are Ready, Reconciling and Stalled, as those of plans.
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Events are the last ones, the oldest first.
	Events []fleet.Event `json:"events,omitempty"`
}

// Synced is a revision that was applied.
type Synced struct {
	Revision string    `json:"revision"`
	Time     time.Time `json:"time"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	// Plans are the names of those that it holds.
	Plans []string `json:"plans"`
}

// LastError is why a sync failed, and since when it is so.
type LastError struct {
	Reason   string    `json:"reason"`
	Message  string    `json:"message"`
	Revision string    `json:"revision,omitempty"`
	Since    time.Time `json:"since"`
}

// DecodeStatus reads what is kept of a source; ok is false when nothing is, or it cannot be read.
func DecodeStatus(p keys.Pair) (s Status, ok bool) {
	if !p.Exists() || json.Unmarshal(p.Value, &s) != nil {
		return Status{}, false
	}
	return s, true
}

// Ready is the condition that says in a word and a sentence how it went last.
func (s *Status) Ready() metav1.Condition {
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown}
}

func (s *Status) event(now time.Time, kind fleet.EventType, reason, message string) {
	number := uint64(1)
	if n := len(s.Events); n > 0 {
		number = s.Events[n-1].Number + 1
	}
	s.Events = append(s.Events, fleet.Event{Number: number, Time: now, Type: kind, Reason: reason, Object: "source/" + s.Source.Name,
		Message: message})
	s.Events = s.Events[max(0, len(s.Events)-maxEvents):]
}

func (s *Status) condition(now time.Time, kind string, is bool, reason, message string) {
	status := metav1.ConditionFalse
	if is {
		status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message,
		LastTransitionTime: metav1.NewTime(now)})
}

// succeeded notes a sync that applied a revision and changed what it changed.
func (s *Status) succeeded(c Content, did Changes, begun, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	message := fmt.Sprintf("%s is applied: %s", c.Revision, plural(len(c.Documents), "plan"))
	if kept := did.kept(); kept != "" {
		message += "; " + kept
	}
	last := s.Synced
	switch text := did.String(); {
	case last == nil || last.Revision != c.Revision:
		s.moved(c.Revision, now)
		s.Synced = &Synced{Revision: c.Revision, Time: now, Seconds: now.Sub(begun).Seconds()}
		s.event(now, fleet.EventNormal, ReasonSynced, c.Revision+": "+cmp.Or(text, "no plan has changed"))
	case text != "":
		s.event(now, fleet.EventWarning, ReasonCorrected, "somebody else had changed it: "+text)
	}
	if kept := did.kept(); kept != "" && kept != keptOf(s.Ready().Message) {
		s.event(now, fleet.EventWarning, ReasonKept, kept)
	}
	s.Synced.Plans = nil
	for _, d := range c.Documents {
		s.Synced.Plans = append(s.Synced.Plans, d.Plan.Name)
	}
	slices.Sort(s.Synced.Plans)
	s.Attempted, s.LastError = c.Revision, nil
	s.condition(now, v1alpha1.ConditionReady, true, ReasonSynced, message)
	s.condition(now, v1alpha1.ConditionReconciling, false, ReasonSynced, message)
	s.condition(now, v1alpha1.ConditionStalled, false, ReasonSynced, message)
}

// keptOf is the part of a message that tells of plans that are kept.
func keptOf(message string) string {
	_, kept, _ := strings.Cut(message, "; ")
	return kept
}

// moved tells of a tag that points to another commit than before.
func (s *Status) moved(revision string, now time.Time) {
	if s.Synced == nil || s.Source.Ref.Tag == "" {
		return
	}
	s.event(now, fleet.EventWarning, ReasonTagMoved, fmt.Sprintf("the tag was %s and is %s now", s.Synced.Revision, revision))
}

// failed notes a sync that failed. The last revision that was applied stays.
func (s *Status) failed(f *Failure, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	message := f.Error()
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	if f.Revision != "" {
		s.Attempted = f.Revision
	}
	old := s.LastError
	next := &LastError{Reason: f.Reason, Message: message, Revision: f.Revision, Since: now}
	if old != nil && old.Reason == next.Reason && old.Revision == next.Revision {
		next.Since = old.Since
	} else {
		s.event(now, fleet.EventWarning, f.Reason, message)
	}
	s.LastError = next
	s.condition(now, v1alpha1.ConditionReady, false, f.Reason, message)
	s.condition(now, v1alpha1.ConditionReconciling, f.passes(), f.Reason, message)
	s.condition(now, v1alpha1.ConditionStalled, !f.passes(), f.Reason, message)
}

// passes says whether the failure may pass by itself, without anybody changing the repository or the configuration.
func (f *Failure) passes() bool {
	return f.Reason == string(repository.Unreachable) || f.Reason == ReasonStore
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
