// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"bytes"
	"sync"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// decodedReports are reports beside the pairs that they were decoded from.
type decodedReports struct {
	pairs   []Pair
	reports []*fleet.Report
}

// reportsAtOnce is the number of reports that one goroutine decodes.
const reportsAtOnce = 4096

// decodeReports decodes the pairs, which are sorted by key. It takes those that did not change from the last ones. Decoding the
// reports of a large fleet takes longer than all else in a pass, so several goroutines share them.
func decodeReports(pairs []Pair, last decodedReports) decodedReports {
	if len(pairs) == len(last.pairs) && (len(pairs) == 0 || &pairs[0] == &last.pairs[0]) {
		return last
	}
	d := decodedReports{pairs, make([]*fleet.Report, len(pairs))}
	var parts sync.WaitGroup
	from := 0
	for ; from+reportsAtOnce < len(pairs); from += reportsAtOnce {
		first := from
		parts.Go(func() { d.decode(first, first+reportsAtOnce, last) })
	}
	d.decode(from, len(pairs), last)
	parts.Wait()
	return d
}

// decode decodes a part of the pairs.
func (d decodedReports) decode(from, to int, last decodedReports) {
	at := 0
	if from > 0 {
		at, _ = findPair(last.pairs, d.pairs[from].Key)
	}
	for i := from; i < to; i++ {
		p := d.pairs[i]
		for at < len(last.pairs) && last.pairs[at].Key < p.Key {
			at++
		}
		if at < len(last.pairs) && sameValue(last.pairs[at], p) {
			d.reports[i] = last.reports[at]
		} else {
			d.reports[i] = DecodeReport(p)
			shareTexts(d.reports[i], d.reports[max(i-1, from)])
		}
	}
}

// shareTexts makes a report share the texts that most reports of a fleet have in common with the one before it. Then they take no
// memory of their own, and comparing them is cheap.
func shareTexts(r, before *fleet.Report) {
	if r == nil || before == nil {
		return
	}
	for _, text := range [...]struct{ own, other *string }{{&r.Role, &before.Role}, {&r.Version, &before.Version},
		{&r.AgentVersion, &before.AgentVersion}, {(*string)(&r.Phase), (*string)(&before.Phase)},
		{&r.Reached.Version, &before.Reached.Version}} {
		if *text.own == *text.other {
			*text.own = *text.other
		}
	}
}

// sameValue compares no indexes: those of a restored store come again with other values.
func sameValue(a, b Pair) bool {
	return a.Key == b.Key && a.Exists() == b.Exists() && bytes.Equal(a.Value, b.Value)
}
