// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// HostKeys returns all keys of the hosts: grant, started marker, report, records of the current version, and the records that s
// lists. The grant comes first, because a host that starts deletes it and sets its marker in one transaction: read in this order,
// the host is never without both.
func HostKeys(s Snapshot, l Layout, hosts []string) []string {
	records := recordKeys(s, l)
	var out []string
	for _, host := range hosts {
		out = append(append(out, l.Grant(host), l.Started(host), l.Report(host)), records(host)...)
	}
	return out
}

// recordKeys returns a function that finds the record keys of a host: those that s lists, and those of the current version, in
// each tree.
func recordKeys(s Snapshot, l Layout) func(host string) []string {
	current, trees := DecodeVersion(s.Current.Value), l.RecordTrees()
	versions := byVersion(s.RecordKeys, trees)
	return func(host string) []string {
		own := recordsOf(versions, host)
		for _, tree := range trees {
			if record := tree + current + "/" + host; ValidSegment(current) && !slices.Contains(own, record) {
				own = append(own, record)
			}
		}
		return own
	}
}

// recordsOf returns the keys of a host's records.
func recordsOf(versions []version, host string) (out []string) {
	for _, v := range versions {
		if key, ok := v.find(host); ok {
			out = append(out, key)
		}
	}
	return out
}

// ProgressKeys returns the cheapest keys to poll for the progress of hosts: an agent writes its report, a legacy host its
// records. See ChangedHosts.
func ProgressKeys(s Snapshot, l Layout, hosts []string) (agents, legacy []string) {
	reports, records := byKey(s.Reports), recordKeys(s, l)
	for _, host := range hosts {
		if _, agent := findPair(reports, l.Report(host)); agent {
			agents = append(agents, l.Report(host))
		} else {
			legacy = append(legacy, records(host)...)
		}
	}
	return agents, legacy
}

// ChangedHosts returns the hosts whose progress keys differ from those in s, without duplicates.
func ChangedHosts(s Snapshot, l Layout, progress []Pair) (hosts []string) {
	reports, records := byKey(s.Reports), make(map[string]uint64, len(s.Records))
	for _, p := range s.Records {
		records[p.Key] = p.ModifyIndex
	}
	for _, p := range progress {
		_, listed := slices.BinarySearch(s.RecordKeys, p.Key)
		index, read := records[p.Key] // may be newer than the list
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

// HostsBetween returns the hosts whose keys are in exactly one of two sorted lists of grants, started markers or records. The
// result is sorted, without duplicates.
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

// hostOf returns the host of a grant, a started marker, a report or a record.
func (l Layout) hostOf(key string) string {
	for _, tree := range []string{l.GrantTree(), l.StartedTree(), l.ReportTree()} {
		if host, ok := strings.CutPrefix(key, tree); ok {
			return host
		}
	}
	_, host, _ := l.RecordTrees().Cut(key)
	return host
}

// Patch returns s with the keys of some hosts replaced by read, which holds all of HostKeys for each of these hosts. A
// deleted key is a pair that does not exist. With ages, Patch keeps the values of all records of the current version, else
// only those of WantedRecords. It does not modify s.
func Patch(s Snapshot, l Layout, read []Pair, ages bool) Snapshot {
	var grants, started, reports, records []Pair
	trees := l.RecordTrees()
	for _, p := range read {
		switch {
		case strings.HasPrefix(p.Key, l.GrantTree()):
			grants = append(grants, p)
		case strings.HasPrefix(p.Key, l.StartedTree()):
			started = append(started, p)
		case strings.HasPrefix(p.Key, l.ReportTree()):
			reports = append(reports, p)
		case trees.Of(p.Key) != "":
			records = append(records, p)
		}
		s.RecordIndex = max(s.RecordIndex, p.ModifyIndex)
	}
	s.Grants, s.Started, s.Reports = merge(s.Grants, grants), merge(s.Started, started), merge(s.Reports, reports)
	return withRecords(s, l, byKey(records), ages)
}

// withRecords replaces the records of the hosts of records, which are sorted.
func withRecords(s Snapshot, l Layout, records []Pair, ages bool) Snapshot {
	if len(records) == 0 {
		return s
	}
	s.RecordKeys = mergeKeys(s.RecordKeys, records)
	trees, current := l.RecordTrees(), DecodeVersion(s.Current.Value)
	versions := byVersion(s.RecordKeys, trees)
	touched := make(map[string]bool, len(records)) // whether the values of all its records are needed
	for _, p := range records {
		if _, host, _ := trees.Cut(p.Key); !touched[host] {
			touched[host] = len(recordsOf(versions, host)) > 1 || markedByController(s, l, host)
		}
	}
	values := make([]Pair, 0, len(s.Records)+len(records))
	for _, p := range s.Records {
		_, host, _ := trees.Cut(p.Key)
		if _, ok := touched[host]; !ok {
			values = append(values, p)
		}
	}
	for _, p := range records {
		if version, host, _ := trees.Cut(p.Key); p.Exists() && (touched[host] || ages && version == current) {
			values = append(values, p)
		}
	}
	s.Records = values
	return s
}

// mergeKeys returns the sorted list with the keys of existing pairs added, and the keys of others removed.
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

func markedByController(s Snapshot, l Layout, host string) bool {
	at, found := findPair(s.Started, l.Started(host))
	return found && DecodeStarted(s.Started[at]).By == fleet.ByController
}
