// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/crypto/ssh"
)

// FuzzPack reads all objects of a packfile of a server. Each has the hash under which it is found, and none exceeds the limits.
func FuzzPack(f *testing.F) {
	blob := packedObject{kind: plumbing.BlobObject, content: []byte("hello")}
	hash := plumbing.ComputeHash(plumbing.BlobObject, blob.content)
	for _, all := range [][]packedObject{
		{},
		{blob},
		{blob, {kind: plumbing.OFSDeltaObject, base: 1, content: copyAll(5, '!')}},
		{{kind: plumbing.REFDeltaObject, ref: hash, content: copyAll(5, '!')}, blob},
		{blob, {kind: plumbing.OFSDeltaObject, base: 1, content: []byte{5, 0x80, 0x80, 0x80, 0x80, 4, 0x90, 5}}},
		{{kind: plumbing.CommitObject, content: []byte("tree " + hash.String() + "\n")}, {kind: plumbing.TagObject}, {kind: plumbing.TreeObject}},
	} {
		data := packed(f, all...)
		for _, commits := range []bool{false, true} {
			f.Add(data, commits)
			f.Add(data[:len(data)/2], commits)
		}
	}
	limits := Limits{Pack: 1 << 16, Objects: 64, Object: 1 << 16, Inflated: 1 << 20, File: 1 << 16, Files: 10, Total: 1 << 16}
	f.Fuzz(func(t *testing.T, data []byte, commits bool) {
		of := allObjects
		if commits {
			of = commitsOnly
		}
		p, err := storePack(t.Context(), bytes.NewReader(data), limits, of)
		if err != nil {
			return
		}
		defer func() { _ = p.Close() }()
		if _, _, err := p.object(t.Context(), plumbing.ZeroHash); err == nil {
			t.Error("an object has the hash zero")
		} else if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return // a delta is invalid
		}
		if len(p.offsets) > limits.Objects {
			t.Errorf("%d objects", len(p.offsets))
		}
		for hash := range p.offsets {
			kind, _, err := hashedObject(t.Context(), p, hash, limits.Object)
			if err == nil && commits && kind != plumbing.CommitObject {
				t.Errorf("%s is a %s", hash, kind)
			}
			if err != nil {
				if refused, ok := errors.AsType[*Error](err); !ok || !strings.Contains(refused.Error(), "inflate to more") {
					t.Errorf("%s: %v", hash, err)
				}
			}
		}
	})
}

// FuzzParseSigned parses commits and tags. What they say is in the text that a key signed.
func FuzzParseSigned(f *testing.F) {
	const (
		id        = "12345678123456781234567812345678deadbeef"
		who       = "A <a@example.com> 1750000000 +0000\n"
		signature = "-----BEGIN SSH SIGNATURE-----\n x\n -----END SSH SIGNATURE-----\n"
	)
	for _, text := range []string{
		"tree " + id + "\nparent " + id + "\nauthor " + who + "committer " + who + "\nmessage\n",
		"tree " + id + "\nauthor " + who + "committer " + who + "gpgsig " + signature + "\nmessage\n",
		"tree " + id + "\nauthor " + who + "committer " + who + "gpgsig-sha256 x\n tree " + id + "\ngpgsig " + signature + "\nm",
		"gpgsig x\n y\ntree " + id + "\nauthor " + who + "committer " + who,
		"object " + id + "\ntype commit\ntag v1.0.0\ntagger " + who + "\nmessage\n" + pgpHeader + "\n\nx\n",
		"object " + id + "\ntype tag\ntag v1.0.0\n\n" + sshHeader + "\n" + sshHeader + "\n",
		"", "\n", "tree \x00",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if o, err := parseCommit(splitCommit(data)); err == nil {
			if want := "tree " + o.next.String() + "\n"; !strings.HasPrefix(string(o.text), want) {
				t.Errorf("the signed text starts with %q, and the tree is %s", o.text, o.next)
			}
			for _, parent := range o.parents {
				if !bytes.Contains(o.text, []byte("\nparent "+parent.String()+"\n")) {
					t.Errorf("the parent %s is not signed", parent)
				}
			}
			if header, _, _ := bytes.Cut(o.text, []byte("\n\n")); bytes.Contains(header, []byte("\ngpgsig ")) {
				t.Errorf("the signed text has a signature: %q", header)
			}
		}
		if o, err := parseTag(splitTag(data)); err == nil {
			want := "object " + o.next.String() + "\ntype " + o.nextKind + "\ntag " + o.name + "\n"
			if !strings.HasPrefix(string(o.text), want) {
				t.Errorf("the signed text starts with %q, not with %q", o.text, want)
			}
		}
	})
}

// FuzzParseSigners parses files of allowed signers. Each signer has a key, and the time of its end is not valid.
func FuzzParseSigners(f *testing.F) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDp0ksvrqUiOTSlHn9dhvc2iBVdFbS2KlKrHMTQ8z2h"
	for _, text := range []string{
		"a@example.com " + key + "\n",
		"# comment\n\na,b " + key + " comment\r\n",
		`a namespaces="git,file",valid-after="20260101",valid-before="202612312359Z" ` + key,
		`a namespaces="*" ` + key + "\na namespaces=\"[\" " + key,
		"a cert-authority " + key,
		`a valid-before="soon" ` + key,
		`a "`, "a", "", "\x00", "a ssh-ed25519 AAAA",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parseSigners("allowed_signers", data)
		if (err == nil) != (len(all) > 0) {
			t.Fatalf("%d signers and the error %v", len(all), err)
		}
		for _, s := range all {
			if s.key == nil || len(ssh.FingerprintSHA256(s.key)) == 0 {
				t.Error("a signer has no key")
			}
			if !s.before.IsZero() && (s.check(s.before, time.Unix(0, 0)) == nil || s.check(time.Unix(0, 0), s.before) == nil) {
				t.Errorf("%+v is valid at its end", s)
			}
		}
	})
}
