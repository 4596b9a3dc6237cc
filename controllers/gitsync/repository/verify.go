// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/hiddeco/sshsig"
)

// maxSigned limits the size of a commit or tag with a signature, in bytes.
const maxSigned = 1 << 20

// The first lines of signatures.
const (
	pgpHeader = "-----BEGIN PGP SIGNATURE-----"
	sshHeader = "-----BEGIN SSH SIGNATURE-----"
)

// verify returns an error if no configured key has signed the revision.
func (r *Remote) verify(from objects, revision Revision, now time.Time) error {
	v := r.location.Verify
	keys, err := v.keys()
	if err != nil {
		return err
	}
	read, hash := signedTag, revision.object
	if v.Object == VerifyCommit || v.Object == "" && !revision.tag {
		read, hash = signedCommit, plumbing.NewHash(revision.Commit)
	}
	o, err := from.object(hash)
	if err != nil {
		return err
	}
	data, err := readObject(o, maxSigned)
	if err != nil {
		return fail(Refused, "%s: %w", revision, err)
	}
	signed, err := read(o, data, revision)
	if err == nil {
		err = keys.check(signed, now)
	}
	if err != nil {
		return fail(Unverified, "%s: %w", revision, err)
	}
	return nil
}

// signedCommit returns the signed text of a commit.
func signedCommit(o plumbing.EncodedObject, data []byte, _ Revision) (signedText, error) {
	commit := &object.Commit{}
	if err := commit.Decode(o); err != nil {
		return signedText{}, err
	}
	signed := splitCommit(data)
	signed.when = commit.Committer.When
	return signed, nil
}

// signedTag returns the signed text of a tag. It checks that the tag has the name and commit of the revision, because a
// reference can point to a tag object of another name.
func signedTag(o plumbing.EncodedObject, data []byte, revision Revision) (signedText, error) {
	if o.Type() != plumbing.TagObject {
		return signedText{}, errors.New("not an annotated tag, but verify.object is Tag")
	}
	tag := &object.Tag{}
	if err := tag.Decode(o); err != nil {
		return signedText{}, err
	}
	if tag.Name != revision.Ref || tag.Target.String() != revision.Commit {
		return signedText{}, fmt.Errorf("signed as tag %q", tag.Name)
	}
	signed := splitTag(data)
	signed.when = tag.Tagger.When
	return signed, nil
}

// signedText has the signed bytes, the signature, and the time of the commit or tag.
type signedText struct {
	text      []byte
	signature string
	when      time.Time
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

func (v Verify) keys() (*keys, error) {
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

// check returns an error if the signature is not valid.
func (k *keys) check(signed signedText, now time.Time) error {
	switch signature := signed.signature; {
	case signature == "":
		return errors.New("not signed")
	case strings.HasPrefix(signature, pgpHeader):
		at := &packet.Config{Time: func() time.Time { return now }}
		_, err := openpgp.CheckArmoredDetachedSignature(k.pgp, bytes.NewReader(signed.text), strings.NewReader(signature), at)
		if err != nil {
			return fmt.Errorf("OpenPGP signature by none of the keys in verify.openPGPKeys: %w", err)
		}
		return nil
	case strings.HasPrefix(signature, sshHeader):
		return k.checkSSH(signed)
	}
	return errors.New("signature is neither OpenPGP nor SSH")
}

func (k *keys) checkSSH(signed signedText) error {
	parsed, err := sshsig.Unarmor([]byte(signed.signature))
	if err != nil {
		return fmt.Errorf("invalid SSH signature: %w", err)
	}
	why := errors.New("SSH signature by none of the keys in verify.allowedSigners")
	for _, s := range k.ssh {
		if !bytes.Equal(s.key.Marshal(), parsed.PublicKey.Marshal()) {
			continue
		}
		if why = s.check(signed.when); why == nil {
			return sshsig.Verify(bytes.NewReader(signed.text), parsed, s.key, parsed.HashAlgorithm, signatureNamespace)
		}
	}
	return why
}
