// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// packed returns a packfile with a blob and a delta to it.
func packed(t *testing.T, blob, delta []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, [2]uint32{2, 2})
	add := func(kind byte, between, content []byte) {
		b.WriteByte(kind<<4 | byte(len(content))) // the content is shorter than 16 bytes
		b.Write(between)
		z := zlib.NewWriter(&b)
		if _, err := z.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	first := b.Len()
	add(3, nil, blob)
	add(6, []byte{byte(b.Len() - first)}, delta)
	sum := sha1.Sum(b.Bytes())
	b.Write(sum[:])
	return b.Bytes()
}

// A delta of a few bytes can produce an object of any size.
func TestStorePack_LimitsDeltaTargets(t *testing.T) {
	blob := []byte("hello")
	small := packed(t, blob, []byte{5, 5, 0x90, 5})                               // copies the 5 bytes
	large := packed(t, blob, []byte{5, 0x80, 0x80, 0x80, 0x80, 4, 0x90, 5})       // claims to produce 1 GiB
	huge := packed(t, blob, append([]byte{5}, bytes.Repeat([]byte{0xff}, 12)...)) // claims a size that does not fit
	p, err := storePack(bytes.NewReader(small), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for name, data := range map[string][]byte{"large": large, "huge": huge} {
		_, err := storePack(bytes.NewReader(data), DefaultLimits())
		if wrong, ok := errors.AsType[*Error](err); !ok || wrong.Reason != Refused || !strings.Contains(err.Error(), "contains a file or folder of") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
