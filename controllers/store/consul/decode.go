// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
)

// errShape is JSON that is not what Consul sends for a tree of keys.
var errShape = errors.New("not a list of keys as Consul sends it")

// arena collects strings in one piece of memory: a hundred thousand keys are a handful of allocations.
type arena struct {
	data []byte
	ends []int
}

func (a *arena) add(quoted jsontext.Value) (err error) {
	if quoted.Kind() != '"' {
		return fmt.Errorf("%w: a string was expected, not %s", errShape, quoted.Kind())
	}
	a.data, err = jsontext.AppendUnquote(a.data, quoted)
	a.ends = append(a.ends, len(a.data))
	return err
}

// decodeKeys reads the answer to ?keys: a list of strings.
func decodeKeys(body io.Reader) ([]string, error) {
	d := jsontext.NewDecoder(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var names arena
	if err := each(d, '[', func() error {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		return names.add(name)
	}); err != nil {
		return nil, err
	}
	all, from := string(names.data), 0
	result := make([]string, len(names.ends))
	for i, to := range names.ends {
		result[i] = all[from:to]
		from = to
	}
	return result, nil
}

// each calls f at each element of a list, or at each name of an object.
func each(d *jsontext.Decoder, open jsontext.Kind, f func() error) error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != open {
		return fmt.Errorf("%w: %s was expected, not %s", errShape, open, token.Kind())
	}
	for {
		switch d.PeekKind() {
		case ']', '}':
			_, err := d.ReadToken()
			return err
		case jsontext.KindInvalid:
			_, err := d.ReadToken()
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
}

// decodePairs reads the answer to ?recurse.
func decodePairs(body io.Reader) ([]keys.Pair, error) {
	d := jsontext.NewDecoder(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var (
		pairs  []keys.Pair
		names  arena
		values []byte
		ends   []int
	)
	err := each(d, '[', func() error {
		var pair keys.Pair
		named := len(names.ends)
		valued := len(values)
		err := each(d, '{', func() error {
			name, err := d.ReadValue()
			if err != nil {
				return err
			}
			field := fieldOf(name)
			value, err := d.ReadValue()
			if err != nil {
				return err
			}
			switch field {
			case fieldKey:
				return names.add(value)
			case fieldFlags:
				return number(&pair.Flags, value)
			case fieldCreate:
				return number(&pair.CreateIndex, value)
			case fieldModify:
				return number(&pair.ModifyIndex, value)
			case fieldSession:
				text, err := jsontext.AppendUnquote(nil, value)
				pair.Session = string(text)
				return err
			case fieldValue:
				values, err = appendBase64(values[:valued], value)
				return err
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(names.ends) != named+1 || pair.ModifyIndex == 0 {
			return fmt.Errorf("%w: an entry without Key or ModifyIndex", errShape)
		}
		pairs, ends = append(pairs, pair), append(ends, len(values))
		return nil
	})
	if err != nil {
		return nil, err
	}
	all, from, start := string(names.data), 0, 0
	for i := range pairs {
		pairs[i].Key = all[from:names.ends[i]]
		if ends[i] > start {
			pairs[i].Value = values[start:ends[i]:ends[i]]
		}
		from, start = names.ends[i], ends[i]
	}
	return pairs, nil
}

type field uint8

const (
	fieldOther field = iota
	fieldKey
	fieldFlags
	fieldValue
	fieldCreate
	fieldModify
	fieldSession
)

func fieldOf(name []byte) field {
	switch string(name) {
	case `"Key"`:
		return fieldKey
	case `"Flags"`:
		return fieldFlags
	case `"Value"`:
		return fieldValue
	case `"CreateIndex"`:
		return fieldCreate
	case `"ModifyIndex"`:
		return fieldModify
	case `"Session"`:
		return fieldSession
	}
	return fieldOther
}

func number(n *uint64, value []byte) (err error) {
	if *n, err = strconv.ParseUint(string(value), 10, 64); err != nil {
		return fmt.Errorf("%w: %w", errShape, err)
	}
	return nil
}

func appendBase64(to []byte, value jsontext.Value) ([]byte, error) {
	if value.Kind() == 'n' {
		return to, nil
	}
	if value.Kind() != '"' || bytes.IndexByte(value, '\\') >= 0 {
		return to, fmt.Errorf("%w: a value is not base64", errShape)
	}
	to, err := base64.StdEncoding.AppendDecode(to, value[1:len(value)-1])
	if err != nil {
		return to, fmt.Errorf("%w: %w", errShape, err)
	}
	return to, nil
}
