// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// The programs at hand make no SHA-1 signature of a subkey, so this test changes what was read.
func TestCheckSelfSignatures(t *testing.T) {
	now := time.Now()
	config := func(lifetime uint32) *packet.Config {
		return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: lifetime, Time: func() time.Time { return now.Add(-time.Hour) }}
	}
	const weak = "has a self-signature with the hash SHA-1"
	for name, tc := range map[string]struct {
		change func(primary, subkey *packet.Signature, e *openpgp.Entity)
		// lifetime is that of the subkey, in seconds.
		lifetime uint32
		says     string
	}{
		"strong":            {func(_, _ *packet.Signature, _ *openpgp.Entity) {}, 0, ""},
		"the key":           {func(p, _ *packet.Signature, _ *openpgp.Entity) { p.Hash = crypto.SHA1 }, 0, weak},
		"a subkey":          {func(_, s *packet.Signature, _ *openpgp.Entity) { s.Hash = crypto.SHA1 }, 0, weak},
		"by a subkey":       {func(_, s *packet.Signature, _ *openpgp.Entity) { s.EmbeddedSignature.Hash = crypto.SHA1 }, 0, weak},
		"an expired one":    {func(_, s *packet.Signature, _ *openpgp.Entity) { s.Hash = crypto.SHA1 }, 60, ""},
		"one that encrypts": {func(_, s *packet.Signature, _ *openpgp.Entity) { s.Hash, s.FlagSign = crypto.SHA1, false }, 0, ""},
		"a revoked one": {func(_, s *packet.Signature, e *openpgp.Entity) {
			_ = e.RevokeSubkey(&e.Subkeys[len(e.Subkeys)-1], packet.KeyRetired, "", config(0)) // without it the check fails
			s.Hash = crypto.SHA1
		}, 0, ""},
		"no self-signature": {func(_, _ *packet.Signature, e *openpgp.Entity) { e.Identities = nil }, 0, ""}, // the library uses no such key
	} {
		t.Run(name, func(t *testing.T) {
			e, err := openpgp.NewEntity("A", "", "a@example.com", config(0))
			if err != nil {
				t.Fatal(err)
			}
			if err := e.AddSigningSubkey(config(tc.lifetime)); err != nil {
				t.Fatal(err)
			}
			primary, _ := e.PrimarySelfSignature()
			tc.change(primary, e.Subkeys[len(e.Subkeys)-1].Sig, e)
			err = checkSelfSignatures(e, now)
			if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got the error %v, want %q", err, tc.says)
			}
		})
	}
}
