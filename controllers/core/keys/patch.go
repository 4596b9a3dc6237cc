// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// HostKeys are the keys that tell of hosts: of each its mark, its report, its record of the current version, and those of
// its records of which raw knows.
func HostKeys(raw Snapshot, l Layout, hosts []string) []string {
	records := recordKeys(raw, l)
	var out []string
	for _, host := range hosts {
		out = append(append(out, l.Started(host), l.Report(host)), records(host)...)
	}
	return out
}

// recordKeys finds the records of a host of which raw knows, and that of the current version.
func recordKeys(raw Snapshot, l Layout) func(host string) []string {
	current := DecodeVersion(raw.Current.Value)
	versions := byVersion(raw.RecordKeys, len(l.RecordTree()))
	return func(host string) []string {
		own := recordsOf(versions, host)
		if record := l.Record(current, host); ValidSegment(current) && !slices.Contains(own, record) {
			own = append(own, record)
		}
		return own
	}
}

// recordsOf are the keys of a host's records.
func recordsOf(versions []version, host string) (out []string) {
	for _, v := range versions {
		if key, ok := v.find(host); ok {
			out = append(out, key)
		}
	}
	return out
}

// ProgressKeys are the keys by which it shows at little cost that hosts have moved on: an agent writes its report, a host in the
// field its records. See Moved.
func ProgressKeys(raw Snapshot, l Layout, hosts []string) (agents, field []string) {
	reports, records := byKey(raw.Reports), recordKeys(raw, l)
	for _, host := range hosts {
		if _, agent := findPair(reports, l.Report(host)); agent {
			agents = append(agents, l.Report(host))
		} else {
			field = append(field, records(host)...)
		}
	}
	return agents, field
}

// ChangedHosts are the hosts whose signs are not what raw has of them, each once.
func ChangedHosts(raw Snapshot, l Layout, signs []Pair) (hosts []string) {
	reports, records := byKey(raw.Reports), make(map[string]uint64, len(raw.Records))
	for _, p := range raw.Records {
		records[p.Key] = p.ModifyIndex
	}
	for _, p := range signs {
		_, listed := slices.BinarySearch(raw.RecordKeys, p.Key)
		index, read := records[p.Key] // which may be younger than the list
		same := listed == p.Exists() && (!read || index == p.ModifyIndex)
		if strings.HasPrefix(p.Key, l.ReportTree()) {
			at, found := findPair(reports, p.Key)
			same = found && reports[at].ModifyIndex == p.ModifyIndex
		}
		if !same {
			hosts = append(hosts, l.hostOf(p.Key))
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// HostsBetween are the hosts of the keys that are in one of two sorted lists only, each once, sorted: of marks, or of
// records.
func HostsBetween(before, after []string, l Layout) (hosts []string) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0] < after[0]:
			hosts, before = append(hosts, l.hostOf(before[0])), before[1:]
		case len(before) == 0 || after[0] < before[0]:
			hosts, after = append(hosts, l.hostOf(after[0])), after[1:]
		default:
			before, after = before[1:], after[1:]
		}
	}
	slices.Sort(hosts)
	return slices.DeleteFunc(slices.Compact(hosts), func(host string) bool { return host == "" })
}

// hostOf is the host of a mark, a report or a record.
func (l Layout) hostOf(key string) string {
	for _, tree := range []string{l.StartedTree(), l.ReportTree()} {
		if host, ok := strings.CutPrefix(key, tree); ok {
			return host
		}
	}
	host, _ := hostOf(strings.TrimPrefix(key, l.RecordTree()))
	return host
}

// Patch is raw with what was read of some hosts in the place of what it had of them: of each that moved all of HostKeys,
// a key that is gone as a pair that does not exist. With ages the values of the current version's records are kept, else
// only those that Wanted names. The raw that it is given stays as it is.
func Patch(raw Snapshot, l Layout, read []Pair, ages bool) Snapshot {
	var started, reports, records []Pair
	for _, p := range read {
		switch {
		case strings.HasPrefix(p.Key, l.StartedTree()):
			started = append(started, p)
		case strings.HasPrefix(p.Key, l.ReportTree()):
			reports = append(reports, p)
		case strings.HasPrefix(p.Key, l.RecordTree()):
			records = append(records, p)
		}
		raw.RecordIndex = max(raw.RecordIndex, p.ModifyIndex)
	}
	raw.Started, raw.Reports = merge(raw.Started, started), merge(raw.Reports, reports)
	return withRecords(raw, l, byKey(records), ages)
}

// withRecords puts the records in the place of those that raw had of their hosts. They are sorted.
func withRecords(raw Snapshot, l Layout, records []Pair, ages bool) Snapshot {
	if len(records) == 0 {
		return raw
	}
	raw.RecordKeys = mergeKeys(raw.RecordKeys, records)
	versions := byVersion(raw.RecordKeys, len(l.RecordTree()))
	touched := make(map[string]bool, len(records)) // whether the values of all its records are wanted
	for _, p := range records {
		if host := l.hostOf(p.Key); !touched[host] {
			touched[host] = len(recordsOf(versions, host)) > 1 || markedByUs(raw, l, host)
		}
	}
	values := make([]Pair, 0, len(raw.Records)+len(records))
	for _, p := range raw.Records {
		if _, ok := touched[l.hostOf(p.Key)]; !ok {
			values = append(values, p)
		}
	}
	current := l.RecordTree() + DecodeVersion(raw.Current.Value) + "/"
	for _, p := range records {
		if p.Exists() && (touched[l.hostOf(p.Key)] || ages && strings.HasPrefix(p.Key, current)) {
			values = append(values, p)
		}
	}
	raw.Records = values
	return raw
}

// mergeKeys is the sorted list with the keys of those pairs that exist, and without those of the others.
func mergeKeys(list []string, pairs []Pair) []string {
	out := make([]string, 0, len(list)+len(pairs))
	for _, p := range pairs {
		at, found := slices.BinarySearch(list, p.Key)
		out = append(out, list[:at]...)
		if found {
			at++
		}
		list = list[at:]
		if p.Exists() {
			out = append(out, p.Key)
		}
	}
	return append(out, list...)
}

func markedByUs(raw Snapshot, l Layout, host string) bool {
	at, found := findPair(raw.Started, l.Started(host))
	return found && DecodeStarted(raw.Started[at]).By == fleet.ByController
}
