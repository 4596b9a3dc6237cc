// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

const (
	// windowSize is how much of an answer is looked at at once; an element that is longer is not scanned.
	windowSize = 256 << 10
	// blockSize is how much memory the strings of many elements share.
	blockSize = 64 << 10
)

// window is the part of an answer that is being scanned. As a reader it gives what was not scanned.
type window struct {
	body io.Reader
	data []byte // read, not yet scanned
	buf  []byte
	err  error
}

// scan reads a list: element reads what begins at data and returns it with its length, or 0 when it is not all there or
// not as expected; add takes it. The rest of the list, from the first element on that could not be read, is returned as
// a list of its own; nil: all was scanned.
func scan[T any](body io.Reader, element func(data []byte) (T, int), add func(T)) io.Reader {
	w := &window{body: body, buf: make([]byte, windowSize)}
	w.fill()
	if len(w.data) == 0 || w.data[0] != '[' {
		return w
	}
	w.data = w.data[1:]
	for {
		value, n := element(w.data)
		if n == 0 || n == len(w.data) {
			if w.fill() {
				continue
			}
			return io.MultiReader(strings.NewReader("["), w)
		}
		end := w.data[n]
		if end != ',' && end != ']' {
			return io.MultiReader(strings.NewReader("["), w)
		}
		add(value)
		w.data = w.data[n+1:]
		if end == ']' {
			return nil
		}
	}
}

// fill reads on until the window is full, and says whether there is more in it.
func (w *window) fill() bool {
	had := copy(w.buf, w.data)
	w.data = w.buf[:had]
	for w.err == nil && len(w.data) < len(w.buf) {
		var n int
		n, w.err = w.body.Read(w.buf[len(w.data):])
		w.data = w.buf[:len(w.data)+n]
	}
	return len(w.data) > had
}

func (w *window) Read(p []byte) (int, error) {
	if len(w.data) == 0 && w.err != nil {
		return 0, w.err
	}
	if len(w.data) == 0 {
		return w.body.Read(p)
	}
	n := copy(p, w.data)
	w.data = w.data[n:]
	return n, nil
}

// scanString reads a JSON string without escapes. It returns what is between the quotes, and the length with them; 0:
// there is no such string.
func scanString(data []byte) ([]byte, int) {
	if len(data) == 0 || data[0] != '"' {
		return nil, 0
	}
	n := bytes.IndexByte(data[1:], '"')
	if n < 0 || bytes.IndexByte(data[1:1+n], '\\') >= 0 {
		return nil, 0
	}
	return data[1 : 1+n], n + 2
}

// pairScanner reads the objects of an answer, field by field in the order in which Consul writes them.
type pairScanner struct {
	names  text
	values octets
}

// scan reads one object. It returns its length; 0: it is not as expected.
func (s *pairScanner) scan(data []byte) (pair keys.Pair, n int) {
	f := fields{data: data, ok: true}
	f.skip(`{"LockIndex":`)
	f.number()
	f.skip(`,"Key":`)
	key := f.text()
	f.skip(`,"Flags":`)
	pair.Flags = f.number()
	f.skip(`,"Value":`)
	var value []byte
	if !f.has(`null`) {
		value = f.text()
	}
	var session []byte
	if f.has(`,"Session":`) {
		session = f.text()
	}
	f.skip(`,"CreateIndex":`)
	pair.CreateIndex = f.number()
	f.skip(`,"ModifyIndex":`)
	pair.ModifyIndex = f.number()
	f.skip(`}`)
	if !f.ok || len(key) == 0 || pair.ModifyIndex == 0 {
		return keys.Pair{}, 0
	}
	if pair.Value, f.ok = s.values.decode(value); !f.ok {
		return keys.Pair{}, 0
	}
	pair.Key, pair.Session = s.names.add(key), string(session)
	return pair, len(data) - len(f.data)
}

// scanNode reads an object of the catalog's nodes. It returns the node's name, and the length of the object; 0: it is not
// as expected.
func scanNode(data []byte) ([]byte, int) {
	f := fields{data: data, ok: true}
	f.skip(`{"ID":`)
	f.text()
	f.skip(`,"Node":`)
	name := f.text()
	f.end()
	if !f.ok || len(name) == 0 {
		return nil, 0
	}
	return name, len(data) - len(f.data)
}

// fields reads the parts of an object one after the other; ok turns false at the first that is not as expected.
type fields struct {
	data []byte
	ok   bool
}

// has steps over a literal if it is there.
func (f *fields) has(literal string) bool {
	if len(f.data) < len(literal) || string(f.data[:len(literal)]) != literal {
		return false
	}
	f.data = f.data[len(literal):]
	return true
}

func (f *fields) skip(literal string) { f.ok = f.has(literal) && f.ok }

func (f *fields) text() []byte {
	text, n := scanString(f.data)
	f.ok = f.ok && n > 0
	f.data = f.data[n:]
	return text
}

// end steps over the rest of the object.
func (f *fields) end() {
	for i, depth := 0, 1; i < len(f.data); i++ {
		switch f.data[i] {
		case '"':
			i += quoted(f.data[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				f.data = f.data[i+1:]
				return
			}
		}
	}
	f.ok = false
}

// quoted is the length of the JSON string at the beginning of data, or of what is there of it.
func quoted(data []byte) int {
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// maxDigits is how long a number may be that cannot overflow 64 bits; a longer one is left to encoding/json.
const maxDigits = 19

func (f *fields) number() (v uint64) {
	n := 0
	for n < len(f.data) && f.data[n]-'0' <= 9 {
		v = 10*v + uint64(f.data[n]-'0')
		n++
	}
	f.ok = f.ok && 0 < n && n <= maxDigits
	f.data = f.data[n:]
	return v
}

// text keeps many short strings in few pieces of memory.
type text struct{ block strings.Builder }

func (t *text) add(s []byte) string {
	if t.block.Len()+len(s) > t.block.Cap() {
		t.block.Reset() // what was given out keeps the old block
		t.block.Grow(max(blockSize, len(s)))
	}
	from := t.block.Len()
	t.block.Write(s)
	return t.block.String()[from:]
}

// octets keeps many short values in few pieces of memory, each with a capacity of its own.
type octets struct{ free []byte }

// decode keeps what is in base64; nothing is nil.
func (o *octets) decode(encoded []byte) ([]byte, bool) {
	if len(encoded) == 0 {
		return nil, true
	}
	room := base64.StdEncoding.DecodedLen(len(encoded))
	if room > len(o.free) {
		o.free = make([]byte, max(blockSize, room))
	}
	n, err := base64.StdEncoding.Decode(o.free, encoded)
	if err != nil {
		return nil, false
	}
	value := o.free[:n:n]
	o.free = o.free[n:]
	return value, true
}
