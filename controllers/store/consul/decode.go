// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The answers to ?keys and ?recurse, and the catalog's nodes, are read by scan.go as long as they look as Consul's servers
// write them, and from the first element that does not (an escape, the indents of -dev) by encoding/json. No JSON decoder
// keeps up with the server: see BenchmarkDecode.

// errShape is JSON that is not what Consul sends.
var errShape = errors.New("not a list as Consul sends it")

// decodeKeys reads the answer to ?keys: a list of strings.
func decodeKeys(body io.Reader) ([]string, error) {
	var names []string
	var keep text
	rest := scan(body, scanString, func(name []byte) { names = append(roomy(names), keep.add(name)) })
	err := decodeEach(rest, func(name string) error {
		if name == "" {
			return fmt.Errorf("%w: an empty key", errShape)
		}
		names = append(roomy(names), name)
		return nil
	})
	return names, err
}

// decodePairs reads the answer to ?recurse: a list of objects.
func decodePairs(body io.Reader) ([]keys.Pair, error) {
	var pairs []keys.Pair
	var s pairScanner
	rest := scan(body, s.scan, func(pair keys.Pair) { pairs = append(roomy(pairs), pair) })
	err := decodeEach(rest, func(pair keys.Pair) error {
		if pair.Key == "" || pair.ModifyIndex == 0 {
			return fmt.Errorf("%w: an entry without Key or ModifyIndex", errShape)
		}
		if len(pair.Value) == 0 {
			pair.Value = nil
		}
		pairs = append(roomy(pairs), pair)
		return nil
	})
	return pairs, err
}

// decodeNodes reads the answer to /v1/catalog/nodes: a list of objects, of which only the names are kept. It returns no
// nil without an error.
func decodeNodes(body io.Reader) ([]string, error) {
	names := []string{}
	var keep text
	rest := scan(body, scanNode, func(name []byte) { names = append(roomy(names), keep.add(name)) })
	err := decodeEach(rest, func(node struct{ Node string }) error {
		if node.Node == "" {
			return fmt.Errorf("%w: a node without a name", errShape)
		}
		names = append(roomy(names), node.Node)
		return nil
	})
	return names, err
}

// decodeChecks reads the answer to /v1/health/state/…: a list of objects.
func decodeChecks(body io.Reader) ([]store.ServiceCheck, error) {
	var checks []store.ServiceCheck
	err := decodeEach(body, func(c struct{ Node, CheckID, Status, ServiceID string }) error {
		if c.Node == "" || c.CheckID == "" || c.Status == "" {
			return fmt.Errorf("%w: a check without Node, CheckID or Status", errShape)
		}
		checks = append(roomy(checks), store.ServiceCheck{Service: c.ServiceID,
			Check: fleet.Check{Node: c.Node, ID: c.CheckID, Status: fleet.CheckStatus(c.Status)}})
		return nil
	})
	return checks, err
}

// decodeServers counts what the answer to /v1/catalog/service/… lists.
func decodeServers(body io.Reader) (n int, err error) {
	err = decodeEach(body, func(struct{}) error { n++; return nil })
	return n, err
}

// decodeEach calls f for every element of a list. Without a body there is nothing to do.
func decodeEach[T any](body io.Reader, f func(T) error) error {
	if body == nil {
		return nil
	}
	d := json.NewDecoder(body)
	if token, err := d.Token(); err != nil || token != json.Delim('[') {
		return errors.Join(err, errShape)
	}
	for d.More() {
		var element T
		if err := d.Decode(&element); err != nil {
			return err
		}
		if err := f(element); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// roomy doubles a full slice: append grows a large one by a quarter, and allocates twice as much on the way.
func roomy[T any](s []T) []T {
	if len(s) < cap(s) {
		return s
	}
	return slices.Grow(s, max(64, len(s)))
}
