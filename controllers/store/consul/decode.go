// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The large answers are decoded token by token with jsontext, the tokenizer of encoding/json/v2. For 100,000 keys that takes
// 12 ms (names) and 86 ms (pairs) of CPU time, where encoding/json takes 90 ms and 290 ms. A scanner made for the bytes
// that Consul writes took 4 ms and 33 ms, but needed 250 more lines, and made no difference to the time of a command: decoding
// overlaps with the transfer of the answer. See BenchmarkDecode and docs/design/decisions/0001-own-consul-requests.md.

// maxAnswer bounds what an answer takes in memory. A fleet of 100,000 agents takes a third of it. tableEntry is what an entry of a
// list takes beside its texts.
const (
	maxAnswer  = 256 << 20
	tableEntry = 128
)

// errTooLarge is an answer that takes more than maxAnswer.
var errTooLarge = fmt.Errorf("the answer takes more than %d MiB of memory", maxAnswer>>20)

// errShape is JSON that is not what Consul sends.
var errShape = errors.New("not a list as Consul sends it")

// decodeKeys decodes the answer to ?keys: a list of strings.
func decodeKeys(body io.Reader) ([]string, error) {
	var names []string
	err := decodeList(body, func(d *decoder) error {
		name := d.string()
		if name == "" && d.err == nil {
			return fmt.Errorf("%w: an empty key", errShape)
		}
		d.keep(len(name))
		names = append(grow(names), name)
		return nil
	})
	return names, err
}

// decodePairs decodes the answer to ?recurse: a list of objects.
func decodePairs(body io.Reader) ([]keys.Pair, error) {
	var pairs []keys.Pair
	err := decodeList(body, func(d *decoder) error {
		p := d.pair()
		if d.err == nil && (p.Key == "" || p.ModifyIndex == 0) {
			return fmt.Errorf("%w: an entry without Key or ModifyIndex", errShape)
		}
		pairs = append(grow(pairs), p)
		return nil
	})
	return pairs, err
}

// pair returns the next pair.
func (d *decoder) pair() (p keys.Pair) {
	d.object(func(field []byte) {
		switch string(field) {
		case "Key":
			p.Key = d.string()
		case "Flags":
			p.Flags = d.uint()
		case "Value":
			p.Value = d.base64(keys.MaxStored(p.Key)) // Consul sends the key first
		case "Session":
			p.Session = d.string()
		case "CreateIndex":
			p.CreateIndex = d.uint()
		case "ModifyIndex":
			p.ModifyIndex = d.uint()
		default:
			d.skip()
		}
	})
	d.keep(len(p.Key) + len(p.Value))
	return p
}

// decodeTxn decodes the answer to /v1/txn: an object with results or errors.
func decodeTxn(body io.Reader) (a txnAnswer, err error) {
	d := newDecoder(body)
	d.object(func(field []byte) {
		switch string(field) {
		case "Results":
			a.pairs = d.results()
		case "Errors":
			a.errors = d.txnErrors()
		default:
			d.skip()
		}
	})
	return a, d.err
}

// results returns the pairs of a list of results. It returns nil only if there is no list.
func (d *decoder) results() (pairs []keys.Pair) {
	if d.PeekKind() == '[' {
		pairs = []keys.Pair{}
	}
	d.listOrNull(func() {
		d.object(func(field []byte) {
			if string(field) == "KV" && d.PeekKind() == '{' {
				pairs = append(grow(pairs), d.pair())
			} else {
				d.skip()
			}
		})
	})
	return pairs
}

func (d *decoder) txnErrors() (failed []txnError) {
	d.listOrNull(func() {
		var e txnError
		d.object(func(field []byte) {
			switch string(field) {
			case "OpIndex":
				e.op = d.uint()
			case "What":
				e.what = d.string()
			default:
				d.skip()
			}
		})
		failed = append(failed, e)
	})
	return failed
}

// decodeNodes decodes the answer to /v1/catalog/nodes: a list of objects, of which only the names are kept. The result is nil
// only with an error.
func decodeNodes(body io.Reader) ([]string, error) {
	names := []string{}
	err := decodeList(body, func(d *decoder) error {
		var name string
		d.object(func(field []byte) {
			if string(field) == "Node" {
				name = d.string()
			} else {
				d.skip()
			}
		})
		if name == "" && d.err == nil {
			return fmt.Errorf("%w: a node without a name", errShape)
		}
		d.keep(len(name))
		names = append(grow(names), name)
		return nil
	})
	return names, err
}

// decodeChecks decodes the answer to /v1/health/state/…: a list of objects.
func decodeChecks(body io.Reader) ([]store.ServiceCheck, error) {
	var checks []store.ServiceCheck
	err := decodeList(body, func(d *decoder) error {
		var c store.ServiceCheck
		d.object(func(field []byte) {
			switch string(field) {
			case "Node":
				c.Node = d.string()
			case "CheckID":
				c.ID = d.string()
			case "Status":
				c.Status = fleet.CheckStatus(d.string())
			case "ServiceID":
				c.Service = d.string()
			default:
				d.skip()
			}
		})
		if d.err == nil && (c.Node == "" || c.ID == "" || c.Status == "") {
			return fmt.Errorf("%w: a check without Node, CheckID or Status", errShape)
		}
		d.keep(len(c.Node) + len(c.ID) + len(c.Service))
		checks = append(grow(checks), c)
		return nil
	})
	return checks, err
}

// decodeNodeChecks decodes the answer to /v1/health/node/…: a list of objects.
func decodeNodeChecks(body io.Reader) ([]NodeCheck, error) {
	var checks []NodeCheck
	err := decodeList(body, func(d *decoder) error {
		var c NodeCheck
		d.object(func(field []byte) {
			switch string(field) {
			case "CheckID":
				c.ID = d.string()
			case "Name":
				c.Name = d.string()
			case "Status":
				c.Status = d.string()
			case "Output":
				c.Output = d.string()
			default:
				d.skip()
			}
		})
		checks = append(checks, c)
		return nil
	})
	return checks, err
}

// decodeString decodes an answer that is one string.
func decodeString(body io.Reader) (string, error) {
	d := newDecoder(body)
	return d.string(), d.err
}

// decodeServers counts the elements of the answer to /v1/catalog/service/….
func decodeServers(body io.Reader) (n int, err error) {
	err = decodeList(body, func(d *decoder) error {
		d.skip()
		n++
		return nil
	})
	return n, err
}

// decoder decodes JSON token by token. After an error its methods return zero values.
type decoder struct {
	*jsontext.Decoder
	err     error
	scratch []byte
	// left is how many bytes the rest of the answer may take.
	left int
}

func newDecoder(body io.Reader) *decoder {
	tokens := jsontext.NewDecoder(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return &decoder{Decoder: tokens, left: maxAnswer}
}

// decodeList calls element for each element of a list.
func decodeList(body io.Reader, element func(*decoder) error) error {
	d := newDecoder(body)
	d.list(func() {
		if err := element(d); err != nil {
			d.err = errors.Join(err, d.err)
		}
	})
	return d.err
}

// keep counts an entry with texts of a size.
func (d *decoder) keep(size int) {
	if d.left -= size + tableEntry; d.left < 0 && d.err == nil {
		d.err = errTooLarge
	}
}

// listOrNull is list for a list that may be null.
func (d *decoder) listOrNull(element func()) {
	if d.PeekKind() == 'n' {
		d.skip()
		return
	}
	d.list(element)
}

// list calls element for each element of the next list.
func (d *decoder) list(element func()) {
	if open, err := d.ReadToken(); err != nil || open.Kind() != '[' {
		d.err = errors.Join(err, errShape)
		return
	}
	for d.err == nil && d.PeekKind() != ']' {
		element()
	}
	if d.err == nil {
		_, d.err = d.ReadToken()
	}
}

// value returns the next value, which must be of a kind, or null if that is allowed. It is valid until the next call.
func (d *decoder) value(kind jsontext.Kind, orNull bool) jsontext.Value {
	if d.err != nil {
		return nil
	}
	v, err := d.ReadValue()
	if err == nil && v.Kind() != kind && (v.Kind() != 'n' || !orNull) {
		err = fmt.Errorf("%w: unexpected %s", errShape, v.Kind())
	}
	if d.err = err; err != nil {
		return nil
	}
	return v
}

func (d *decoder) skip() {
	if d.err == nil {
		d.err = d.SkipValue()
	}
}

// object calls field for each name of an object, with the decoder before its value.
func (d *decoder) object(field func(name []byte)) {
	if open, err := d.ReadToken(); err != nil || open.Kind() != '{' {
		d.err = errors.Join(err, errShape)
		return
	}
	for d.err == nil && d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			d.err = err
			return
		}
		field(name[1 : len(name)-1])
	}
	if d.err == nil {
		_, d.err = d.ReadToken()
	}
}

// unquote returns the next string. It is valid until the next call. A null is an empty string.
func (d *decoder) unquote() []byte {
	v := d.value('"', true)
	switch {
	case v.Kind() != '"':
		return nil
	case bytes.IndexByte(v, '\\') < 0:
		return v[1 : len(v)-1]
	}
	d.scratch, _ = jsontext.AppendUnquote(d.scratch[:0], v) // the decoder has accepted it
	return d.scratch
}

func (d *decoder) string() string { return string(d.unquote()) }

func (d *decoder) uint() uint64 {
	n, err := strconv.ParseUint(string(d.value('0', false)), 10, 64)
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("%w: %w", errShape, err)
	}
	return n
}

// base64 returns the bytes that a string encodes, at most a number of them. Nothing is nil, and 0 means no bound.
func (d *decoder) base64(most int) []byte {
	encoded := d.unquote()
	if len(encoded) == 0 {
		return nil
	}
	if whole := base64.StdEncoding.EncodedLen(most); most > 0 && len(encoded) > whole {
		encoded = encoded[:whole] // a multiple of four
	}
	value, err := base64.StdEncoding.AppendDecode(nil, encoded)
	if err != nil {
		d.err = fmt.Errorf("%w: %w", errShape, err)
	}
	return value
}

// grow doubles a full slice. The built-in append grows a large one by a quarter, and allocates twice as much on the way.
func grow[T any](s []T) []T {
	if len(s) < cap(s) {
		return s
	}
	return slices.Grow(s, max(64, len(s)))
}
