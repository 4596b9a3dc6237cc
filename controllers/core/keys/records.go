// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"slices"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
)

// WantedRecords returns the sorted keys of the records whose values and indexes matter: those of hosts with records of two
// versions, and those of hosts that have a started marker written by the controller.
func WantedRecords(s Snapshot, l Layout) []string {
	hosts := map[string]struct{}{}
	for _, p := range s.Started {
		if m := DecodeStarted(p); m.By == fleet.ByController {
			hosts[strings.TrimPrefix(p.Key, l.StartedTree())] = struct{}{}
		}
	}
	tree := len(l.RecordTree())
	versions := byVersion(s.RecordKeys, tree)
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

// version holds the sorted record keys of one version. In each key the host name begins at offset host.
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

// byVersion splits the sorted keys by version. It compares every key, so that unsorted input never mixes versions.
func byVersion(keys []string, tree int) []version {
	var out []version
	for from := 0; from < len(keys); {
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

// hostOf returns the host of a record key relative to its tree.
func hostOf(rest string) (host string, ok bool) {
	version, host, ok := strings.Cut(rest, "/")
	return host, ok && host != "" && version != ""
}

// record returns the record of a key, with its value if that was read. It does not exist if it was deleted after the keys
// were listed.
func (d *decoder) record(key string, found []int) (r fleet.Record, exists bool) {
	rest := key[len(d.layout.RecordTree()):]
	r.Version = rest[:strings.IndexByte(rest, '/')]
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
	tree := d.layout.RecordTree()
	d.names = make([]string, 0, cap(d.findings))
	for i, key := range d.snapshot.RecordKeys {
		host, ok := hostOf(key[len(tree):])
		if !ok || !ValidSegment(host) {
			d.note("%s%q is not a record: expected <version>/<host>", tree, bounded([]byte(key[len(tree):])))
			continue
		}
		d.found(host, foundKey, i)
	}
	for i := range d.snapshot.Records {
		if host, ok := hostOf(strings.TrimPrefix(d.snapshot.Records[i].Key, tree)); ok {
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
