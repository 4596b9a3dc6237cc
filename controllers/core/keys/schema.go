// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Schema is the schema of the stored objects of this release, besides reports, which have their own (fleet.ReportSchema). An
// object without a schema has schema 1. A release that gives a field of an object another meaning increases it.
const Schema = 1

// schemaPrefix begins each object that EncodeObject writes.
const schemaPrefix = `{"schema":1,`

// SchemaError says that a later release wrote an object.
type SchemaError struct {
	Key string
	// Has is the schema of the object, and Knows the latest that this program can read.
	Has, Knows int
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("%s has schema %d, and this program knows %d: upgrade it", e.Key, e.Has, e.Knows)
}

// EncodeObject encodes a struct as a stored object, with its schema.
func EncodeObject(v any) []byte {
	data := encode(v)
	if len(data) <= len("{}") {
		return fmt.Appendf(nil, `{"schema":%d}`, Schema)
	}
	return append([]byte(schemaPrefix), data[1:]...)
}

// DecodeObject decodes a stored object. A missing key is an error, and an object of a later schema is a *SchemaError. With an
// error, the object is the zero value.
func DecodeObject[T any](p Pair) (v T, err error) {
	if !p.Exists() {
		return v, fmt.Errorf("%s does not exist", p.Key)
	}
	if err := CheckSchema(p, Schema); err != nil {
		return v, err
	}
	if err := json.Unmarshal(p.Value, &v); err != nil {
		var zero T
		return zero, fmt.Errorf("%s cannot be read: %w", p.Key, err)
	}
	return v, nil
}

// CheckSchema returns a *SchemaError if the object has a later schema than the program knows.
func CheckSchema(p Pair, knows int) error {
	if bytes.HasPrefix(p.Value, []byte(schemaPrefix)) {
		return nil
	}
	var object struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(p.Value, &object); err != nil {
		return fmt.Errorf("%s cannot be read: %w", p.Key, err)
	}
	if object.Schema > knows {
		return &SchemaError{p.Key, object.Schema, knows}
	}
	return nil
}
