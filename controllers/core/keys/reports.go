// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"bytes"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// decodedReports are reports beside the pairs that they were decoded from.
type decodedReports struct {
	pairs   []Pair
	reports []*fleet.Report
}

// decodeReports decodes the pairs, which are sorted by key. It takes those that did not change from the last ones. Decoding the
// reports of a large fleet takes longer than all else in a pass.
func decodeReports(pairs []Pair, last decodedReports) decodedReports {
	reports := make([]*fleet.Report, len(pairs))
	at := 0
	for i, p := range pairs {
		for at < len(last.pairs) && last.pairs[at].Key < p.Key {
			at++
		}
		if at < len(last.pairs) && sameValue(last.pairs[at], p) {
			reports[i] = last.reports[at]
		} else {
			reports[i] = DecodeReport(p)
		}
	}
	return decodedReports{pairs, reports}
}

// sameValue compares no indexes: those of a restored store come again with other values.
func sameValue(a, b Pair) bool {
	return a.Key == b.Key && a.Exists() == b.Exists() && bytes.Equal(a.Value, b.Value)
}
