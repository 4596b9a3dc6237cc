// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// RecordTrees are the prefixes of all records, sorted.
type RecordTrees []string

// RecordTrees returns the trees whose records are one list.
func (l Layout) RecordTrees() RecordTrees {
	if l.Records == "" {
		return RecordTrees{l.key(RunningVersions + "/"), l.key(RunningVersionsOld + "/")}
	}
	return RecordTrees{l.key(l.Records + "/")}
}

// Of returns the tree that a key is in. It is empty for a key outside of all trees.
func (t RecordTrees) Of(key string) string {
	for _, tree := range t {
		if strings.HasPrefix(key, tree) {
			return tree
		}
	}
	return ""
}

// Cut returns the version and the host of a record. It returns false for other keys.
func (t RecordTrees) Cut(key string) (version, host string, ok bool) {
	tree := t.Of(key)
	version, host, ok = strings.Cut(key[len(tree):], "/")
	return version, host, ok && tree != "" && version != "" && host != ""
}

// RecordsBelow returns the record keys that s lists below a prefix.
func (s *Snapshot) RecordsBelow(prefix string) []string {
	from, _ := slices.BinarySearch(s.RecordKeys, prefix)
	to := from
	for to < len(s.RecordKeys) && strings.HasPrefix(s.RecordKeys[to], prefix) {
		to++
	}
	return s.RecordKeys[from:to]
}

// AnyRecord reports whether s lists a record below a prefix.
func (s *Snapshot) AnyRecord(prefix string) bool {
	at, _ := slices.BinarySearch(s.RecordKeys, prefix)
	return at < len(s.RecordKeys) && strings.HasPrefix(s.RecordKeys[at], prefix)
}

// WantedRecords returns the sorted keys of the records whose values and indexes matter: those of hosts with records of two
// versions, and those of hosts that have a started marker written by the controller.
func WantedRecords(s Snapshot, l Layout) []string {
	hosts := map[string]struct{}{}
	for _, p := range s.Started {
		if m := DecodeStarted(p); m.By == fleet.ByController {
			hosts[strings.TrimPrefix(p.Key, l.StartedTree())] = struct{}{}
		}
	}
	versions := byVersion(s.RecordKeys, l.RecordTrees())
	for i, a := range versions {
		for _, b := range versions[i+1:] {
			addCommon(hosts, a, b)
		}
	}
	var wanted []string
	for host := range hosts {
		wanted = append(wanted, recordsOf(versions, host)...)
	}
	slices.Sort(wanted)
	return wanted
}

// version holds the sorted record keys of one version in one tree. In each key the host name begins at offset host.
type version struct {
	keys []string
	host int
}

// find returns the key of the host's record.
func (v version) find(host string) (string, bool) {
	i, ok := slices.BinarySearchFunc(v.keys, host, func(key, host string) int { return strings.Compare(key[v.host:], host) })
	if !ok {
		return "", false
	}
	return v.keys[i], true
}

// byVersion splits the sorted keys by tree and version. It compares every key, so that unsorted input never mixes versions.
func byVersion(keys []string, trees RecordTrees) []version {
	var out []version
	for from := 0; from < len(keys); {
		tree := len(trees.Of(keys[from]))
		slash := strings.IndexByte(keys[from][tree:], '/')
		if slash < 0 {
			from++
			continue
		}
		prefix := keys[from][:tree+slash+1]
		to := from + 1
		for to < len(keys) && strings.HasPrefix(keys[to], prefix) {
			to++
		}
		out = append(out, version{keys: keys[from:to], host: len(prefix)})
		from = to
	}
	return out
}

// addCommon adds the hosts that both versions have to hosts.
func addCommon(hosts map[string]struct{}, a, b version) {
	for i, j := 0, 0; i < len(a.keys) && j < len(b.keys); {
		host := a.keys[i][a.host:]
		switch c := strings.Compare(host, b.keys[j][b.host:]); {
		case c < 0:
			i++
		case c > 0:
			j++
		default:
			hosts[host] = struct{}{}
			i, j = i+1, j+1
		}
	}
}

// record returns the record of a key, with its value if that was read. It does not exist if it was deleted after the keys
// were listed.
func (d *decoder) record(key string, found []int) (r fleet.Record, exists bool) {
	r.Version, _, _ = d.trees.Cut(key)
	for _, i := range found {
		if f := d.findings[i]; f.kind == foundValue && d.snapshot.Records[f.at].Key == key {
			p := &d.snapshot.Records[f.at]
			r.CreateIndex, r.ModifyIndex, r.Time = p.CreateIndex, p.ModifyIndex, DecodeTime(p.Value)
			return r, p.Exists()
		}
	}
	return r, true
}

// records finds the hosts' records. The newest record of a host counts: the one with the highest ModifyIndex, and among
// equals the one with the latest time.
func (d *decoder) records() {
	d.names = make([]string, 0, cap(d.findings))
	for i, key := range d.snapshot.RecordKeys {
		version, host, ok := d.trees.Cut(key)
		if !ok || !ValidName(host) || len(version) > MaxName {
			tree := d.trees.Of(key)
			d.note("%s%q is not a record: expected <version>/<host>", tree, bounded([]byte(key[len(tree):])))
			continue
		}
		d.found(host, foundKey, i)
	}
	for i := range d.snapshot.Records {
		if _, host, ok := d.trees.Cut(d.snapshot.Records[i].Key); ok {
			d.found(host, foundValue, i)
		}
	}
}

func newer(a, b fleet.Record) bool {
	if a.ModifyIndex != b.ModifyIndex {
		return a.ModifyIndex > b.ModifyIndex
	}
	return a.Time.After(b.Time)
}
