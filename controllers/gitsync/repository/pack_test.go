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

// packed is a packfile with a blob and, after it, a difference to it.
func packed(t *testing.T, blob, difference []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("PACK")
	_ = binary.Write(&b, binary.BigEndian, [2]uint32{2, 2})
	add := func(kind byte, between, content []byte) {
		b.WriteByte(kind<<4 | byte(len(content))) // below 16 bytes
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
	add(6, []byte{byte(b.Len() - first)}, difference)
	sum := sha1.Sum(b.Bytes())
	b.Write(sum[:])
	return b.Bytes()
}

// A difference of a few bytes may stand for an object of any size.
func TestADifferenceDoesNotGrowBeyondTheLimit(t *testing.T) {
	blob := []byte("hello")
	small := packed(t, blob, []byte{5, 5, 0x90, 5})                               // copies the five bytes
	large := packed(t, blob, []byte{5, 0x80, 0x80, 0x80, 0x80, 4, 0x90, 5})       // says that it is 1 GiB
	huge := packed(t, blob, append([]byte{5}, bytes.Repeat([]byte{0xff}, 12)...)) // says no size that there is
	p, err := receive(bytes.NewReader(small), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for name, data := range map[string][]byte{"large": large, "huge": huge} {
		_, err := receive(bytes.NewReader(data), DefaultLimits())
		if wrong, ok := errors.AsType[*Error](err); !ok || wrong.Reason != Refused || !strings.Contains(err.Error(), "holds a file or folder of") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
