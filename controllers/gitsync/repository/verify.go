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

// maxSigned bounds a commit or tag whose signature is checked, in bytes.
const maxSigned = 1 << 20

// The first lines of signatures, as Git finds them in a tag.
const (
	pgpBegins = "-----BEGIN PGP SIGNATURE-----"
	sshBegins = "-----BEGIN SSH SIGNATURE-----"
)

// verify says by an error why a revision is not signed as it must be.
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
	data, err := content(o, maxSigned)
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

// signedCommit is what was signed of a commit.
func signedCommit(o plumbing.EncodedObject, data []byte, _ Revision) (signedText, error) {
	commit := &object.Commit{}
	if err := commit.Decode(o); err != nil {
		return signedText{}, err
	}
	signed := splitCommit(data)
	signed.when = commit.Committer.When
	return signed, nil
}

// signedTag is what was signed of a tag, if that is the one that the revision names.
func signedTag(o plumbing.EncodedObject, data []byte, revision Revision) (signedText, error) {
	if o.Type() != plumbing.TagObject {
		return signedText{}, errors.New("is no tag with a signature of its own, which verify asks for")
	}
	tag := &object.Tag{}
	if err := tag.Decode(o); err != nil {
		return signedText{}, err
	}
	if tag.Name != revision.Ref || tag.Target.String() != revision.Commit {
		return signedText{}, fmt.Errorf("the tag was signed as %q", tag.Name)
	}
	signed := splitTag(data)
	signed.when = tag.Tagger.When
	return signed, nil
}

// signedText is what was signed, the signature, and when it says that it was made.
type signedText struct {
	text      []byte
	signature string
	when      time.Time
}

// splitCommit takes the signature out of a commit, byte by byte: what is left is what was signed.
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

// splitTag cuts a tag at the last line that begins a signature.
func splitTag(data []byte) signedText {
	at, cut := 0, len(data)
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte(pgpBegins)) || bytes.HasPrefix(line, []byte(sshBegins)) {
			cut = at
		}
		at += len(line)
	}
	return signedText{text: data[:cut], signature: string(data[cut:])}
}

// keys are those by one of which a signature must be made.
type keys struct {
	pgp openpgp.EntityList
	ssh []signer
}

func (v Verify) keys() (*keys, error) {
	k := &keys{}
	for _, name := range v.OpenPGPKeys {
		data, err := secret("verify.openPGPKeys", name)
		if err != nil {
			return nil, err
		}
		found, err := readKeyRing(data)
		if err != nil {
			return nil, fail(Misconfigured, "verify.openPGPKeys %s: must hold public keys, armored: %w", name, err)
		}
		k.pgp = append(k.pgp, found...)
	}
	for _, name := range v.AllowedSigners {
		data, err := secret("verify.allowedSigners", name)
		if err != nil {
			return nil, err
		}
		found, err := readSigners(name, data)
		if err != nil {
			return nil, fail(Misconfigured, "verify.allowedSigners: %w", err)
		}
		k.ssh = append(k.ssh, found...)
	}
	return k, nil
}

// readKeyRing reads one armored block after the other.
func readKeyRing(data []byte) (openpgp.EntityList, error) {
	const begins = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	blocks := strings.Split(string(data), begins)
	if len(blocks) < 2 {
		return nil, errors.New("there is no block " + begins)
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

// check says by an error why a signature does not hold.
func (k *keys) check(signed signedText, now time.Time) error {
	switch signature := signed.signature; {
	case signature == "":
		return errors.New("is not signed")
	case strings.HasPrefix(signature, pgpBegins):
		at := &packet.Config{Time: func() time.Time { return now }}
		_, err := openpgp.CheckArmoredDetachedSignature(k.pgp, bytes.NewReader(signed.text), strings.NewReader(signature), at)
		if err != nil {
			return fmt.Errorf("its OpenPGP signature is not by one of the keys of verify.openPGPKeys: %w", err)
		}
		return nil
	case strings.HasPrefix(signature, sshBegins):
		return k.checkSSH(signed)
	}
	return errors.New("its signature is neither OpenPGP nor SSH")
}

func (k *keys) checkSSH(signed signedText) error {
	parsed, err := sshsig.Unarmor([]byte(signed.signature))
	if err != nil {
		return fmt.Errorf("its SSH signature cannot be read: %w", err)
	}
	why := errors.New("its SSH signature is not by one of the keys of verify.allowedSigners")
	for _, s := range k.ssh {
		if !bytes.Equal(s.key.Marshal(), parsed.PublicKey.Marshal()) {
			continue
		}
		if why = s.may(signed.when); why == nil {
			return sshsig.Verify(bytes.NewReader(signed.text), parsed, s.key, parsed.HashAlgorithm, namespace)
		}
	}
	return why
}
