// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/hiddeco/sshsig"
)

// maxSigned limits the size of a commit or tag, in bytes.
const maxSigned = 1 << 20

// The first lines of signatures.
const (
	pgpHeader = "-----BEGIN PGP SIGNATURE-----"
	sshHeader = "-----BEGIN SSH SIGNATURE-----"
)

// policy says which object of a revision a key must have signed.
type policy struct {
	// keys is nil if signatures are not checked.
	keys *keys
	// kind is that of the signed object: a commit, or the first tag, which must have this name.
	kind plumbing.ObjectType
	name string
	when Times
}

func (v Verify) policy(revision Revision, when Times) (policy, error) {
	p := policy{kind: plumbing.CommitObject, name: revision.Ref, when: when}
	if v.Object == VerifyTag || v.Object == "" && revision.tag {
		p.kind = plumbing.TagObject
	}
	if !v.Enabled() || v.Preview {
		return p, nil
	}
	var err error
	p.keys, err = v.keys(when.Now)
	return p, err
}

// check returns an error if the object must be signed and is not. It checks the name of a tag, because a reference can point to
// a tag object of another name.
func (p policy) check(o signedObject, first bool) error {
	switch {
	case p.keys == nil:
		return nil
	case p.kind == plumbing.TagObject && first && o.kind != plumbing.TagObject:
		return errors.New("not an annotated tag, but verify.object is Tag")
	case p.kind != o.kind || p.kind == plumbing.TagObject && !first:
		return nil
	}
	if err := p.keys.check(o.signedText, p.when); err != nil {
		return err
	}
	if o.kind == plumbing.TagObject && o.name != p.name {
		return fmt.Errorf("signed as tag %q", o.name)
	}
	return nil
}

// signedText has the signed bytes, the signature, and the time of the commit or tag.
type signedText struct {
	text      []byte
	signature string
	when      time.Time
}

// signedObject is a commit or a tag. All fields come from the signed text, and none from the rest of the object.
type signedObject struct {
	signedText
	kind plumbing.ObjectType
	// next is the tree of a commit, or the target of a tag. nextKind is the type of the target.
	next     plumbing.Hash
	nextKind string
	// name is that of a tag.
	name string
	// parents are those of a commit.
	parents []plumbing.Hash
}

// parseSigned parses a commit or tag. It is as strict as git fsck about the order of the lines.
func parseSigned(kind plumbing.ObjectType, data []byte) (signedObject, error) {
	if kind == plumbing.TagObject {
		return parseTag(splitTag(data))
	}
	return parseCommit(splitCommit(data))
}

func parseCommit(text signedText) (signedObject, error) {
	o := signedObject{signedText: text, kind: plumbing.CommitObject}
	h := &header{rest: text.text}
	o.next = h.hash("tree")
	for h.has("parent") {
		o.parents = append(o.parents, h.hash("parent"))
	}
	h.value("author")
	o.when = h.time("committer")
	return o, h.err
}

func parseTag(text signedText) (signedObject, error) {
	o := signedObject{signedText: text, kind: plumbing.TagObject}
	h := &header{rest: text.text}
	o.next, o.nextKind, o.name = h.hash("object"), h.value("type"), h.value("tag")
	if h.has("tagger") {
		o.when = h.time("tagger")
	}
	return o, h.err
}

// header reads the first lines of a commit or tag: a name, a space and a value each. The first error stays.
type header struct {
	rest []byte
	err  error
}

// has reports whether the next line has this name. It is false after an error, which no line follows.
func (h *header) has(name string) bool {
	return h.err == nil && bytes.HasPrefix(h.rest, []byte(name+" "))
}

func (h *header) value(name string) string {
	line, rest, ended := bytes.Cut(h.rest, []byte("\n"))
	value, found := bytes.CutPrefix(line, []byte(name+" "))
	if h.err == nil && (!found || !ended || bytes.IndexByte(value, 0) >= 0) {
		h.err = fmt.Errorf("invalid object: no line %q where it must be", name)
	}
	if h.err != nil {
		return ""
	}
	h.rest = rest
	return string(value)
}

func (h *header) hash(name string) plumbing.Hash {
	text := h.value(name)
	if h.err == nil && !IsHash(text) {
		h.err = fmt.Errorf("invalid object: %s %q is not a hash of 40 digits", name, text)
	}
	return plumbing.NewHash(text)
}

func (h *header) time(name string) time.Time {
	var s object.Signature
	s.Decode([]byte(h.value(name)))
	return s.When
}

// splitCommit separates the gpgsig header of a commit from the rest, which was signed.
func splitCommit(data []byte) signedText {
	var s signedText
	var signature strings.Builder
	header, in := true, ""
	for line := range bytes.Lines(data) {
		switch {
		case header && in != "" && bytes.HasPrefix(line, []byte(" ")):
			if in == "gpgsig" {
				signature.Write(line[1:])
			}
			continue
		case header && bytes.HasPrefix(line, []byte("gpgsig ")):
			in = "gpgsig"
			signature.Write(line[len("gpgsig "):])
			continue
		case header && bytes.HasPrefix(line, []byte("gpgsig-sha256 ")):
			in = "gpgsig-sha256"
			continue
		}
		in = ""
		header = header && len(line) > 1
		s.text = append(s.text, line...)
	}
	s.signature = signature.String()
	return s
}

// splitTag splits a tag at the last line that starts a signature.
func splitTag(data []byte) signedText {
	at, cut := 0, len(data)
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte(pgpHeader)) || bytes.HasPrefix(line, []byte(sshHeader)) {
			cut = at
		}
		at += len(line)
	}
	return signedText{text: data[:cut], signature: string(data[cut:])}
}

// keys has the keys that may sign.
type keys struct {
	pgp openpgp.EntityList
	ssh []signer
}

func (v Verify) keys(now time.Time) (*keys, error) {
	k := &keys{}
	for _, name := range v.OpenPGPKeys {
		data, err := readSecretFile("verify.openPGPKeys", name)
		if err != nil {
			return nil, err
		}
		found, err := readKeyRing(data)
		if err != nil {
			return nil, fail(Misconfigured, "verify.openPGPKeys %s: must contain armored public keys: %w", name, err)
		}
		for _, e := range found {
			if err := checkSelfSignatures(e, now); err != nil {
				return nil, fail(Misconfigured, "verify.openPGPKeys %s: %w", name, err)
			}
		}
		k.pgp = append(k.pgp, found...)
	}
	for _, name := range v.AllowedSigners {
		data, err := readSecretFile("verify.allowedSigners", name)
		if err != nil {
			return nil, err
		}
		found, err := parseSigners(name, data)
		if err != nil {
			return nil, fail(Misconfigured, "verify.allowedSigners: %w", err)
		}
		k.ssh = append(k.ssh, found...)
	}
	return k, nil
}

// readKeyRing reads all armored blocks of a file.
func readKeyRing(data []byte) (openpgp.EntityList, error) {
	const begins = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	blocks := strings.Split(string(data), begins)
	if len(blocks) < 2 {
		return nil, errors.New("no block " + begins)
	}
	var all openpgp.EntityList
	for _, block := range blocks[1:] {
		found, err := openpgp.ReadArmoredKeyRing(strings.NewReader(begins + block))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// checkSelfSignatures returns an error if a key has a self-signature with a weak hash, or a subkey that may sign now. Those say
// what the keys may do, and that the subkeys belong to the key.
func checkSelfSignatures(e *openpgp.Entity, now time.Time) error {
	self, _ := e.PrimarySelfSignature()
	all := []*packet.Signature{self}
	for _, s := range e.Subkeys {
		if s.Sig.FlagSign && !s.PublicKey.KeyExpired(s.Sig, now) && !s.Sig.SigExpired(now) && !s.Revoked(now) {
			all = append(all, s.Sig, s.Sig.EmbeddedSignature)
		}
	}
	for _, s := range all {
		if s != nil && !slices.Contains(strongHashes(), s.Hash) {
			return fmt.Errorf("the key %X has a self-signature with the hash %s, which is too weak; renew it with `gpg --cert-digest-algo "+
				"SHA512 --quick-set-expire %[1]X 2y` (for its subkeys, add '*' at the end), and export it again",
				e.PrimaryKey.Fingerprint, s.Hash)
		}
	}
	return nil
}

// check returns an error if the signature is not valid.
func (k *keys) check(signed signedText, when Times) error {
	switch signature := signed.signature; {
	case signature == "":
		return errors.New("not signed")
	case strings.HasPrefix(signature, pgpHeader):
		return k.checkPGP(signed, when.Now)
	case strings.HasPrefix(signature, sshHeader):
		return k.checkSSH(signed, when.Seen)
	}
	return errors.New("signature is neither OpenPGP nor SSH")
}

// strongHashes are the hashes that an OpenPGP signature may have. For weaker ones, two texts with the same hash can be made.
func strongHashes() []crypto.Hash {
	return []crypto.Hash{crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512}
}

func (k *keys) checkPGP(signed signedText, now time.Time) error {
	block, err := armor.Decode(strings.NewReader(signed.signature))
	if err != nil {
		return fmt.Errorf("invalid OpenPGP signature: %w", err)
	}
	data, err := io.ReadAll(block.Body)
	if err != nil {
		return fmt.Errorf("invalid OpenPGP signature: %w", err)
	}
	if hash, weak := weakHash(data); weak {
		return fmt.Errorf("OpenPGP signature with the hash %s, which is too weak; sign with SHA256 or SHA512 (digest-algo in gpg.conf)",
			hash)
	}
	at := &packet.Config{Time: func() time.Time { return now }}
	_, err = openpgp.CheckDetachedSignatureAndHash(k.pgp, bytes.NewReader(signed.text), bytes.NewReader(data), strongHashes(), at)
	if err != nil {
		return fmt.Errorf("OpenPGP signature by none of the keys in verify.openPGPKeys: %w", err)
	}
	return nil
}

// weakHash returns the hash of the first signature that has a weak one. It finds only signatures that the library can read.
func weakHash(signatures []byte) (crypto.Hash, bool) {
	packets := packet.NewReader(bytes.NewReader(signatures))
	for {
		p, err := packets.Next()
		if err != nil {
			return 0, false
		}
		if s, ok := p.(*packet.Signature); ok && !slices.Contains(strongHashes(), s.Hash) {
			return s.Hash, true
		}
	}
}

func (k *keys) checkSSH(signed signedText, seen time.Time) error {
	parsed, err := sshsig.Unarmor([]byte(signed.signature))
	if err != nil {
		return fmt.Errorf("invalid SSH signature: %w", err)
	}
	why := errors.New("SSH signature by none of the keys in verify.allowedSigners")
	for _, s := range k.ssh {
		if !bytes.Equal(s.key.Marshal(), parsed.PublicKey.Marshal()) {
			continue
		}
		if why = s.check(signed.when, seen); why == nil {
			return sshsig.Verify(bytes.NewReader(signed.text), parsed, s.key, parsed.HashAlgorithm, signatureNamespace)
		}
	}
	return why
}
