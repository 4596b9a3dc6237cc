// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bytes"
	"errors"
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
	hash, kind := revision.object, plumbing.TagObject
	if v.Object == VerifyCommit || v.Object == "" && !revision.tag {
		hash, kind = plumbing.NewHash(revision.Commit), plumbing.CommitObject
	}
	o, err := from.object(hash)
	if err != nil {
		return err
	}
	if o.Type() != kind {
		return fail(Unverified, "%s: is no tag with a signature of its own, which verify asks for", revision)
	}
	data, err := content(o, maxSigned)
	if err != nil {
		return fail(Refused, "%s: %w", revision, err)
	}
	signed, signature, when := splitCommit(data), "", time.Time{}
	if kind == plumbing.CommitObject {
		commit := &object.Commit{}
		if err := commit.Decode(o); err != nil {
			return problem("commit", hash, err)
		}
		signature, when = signed.signature, commit.Committer.When
	} else {
		tag := &object.Tag{}
		if err := tag.Decode(o); err != nil {
			return problem("tag", hash, err)
		}
		if tag.Name != revision.Ref || tag.Target.String() != revision.Commit {
			return fail(Unverified, "%s: the tag was signed as %q", revision, tag.Name)
		}
		signed = splitTag(data)
		signature, when = signed.signature, tag.Tagger.When
	}
	if err := keys.check(signed.text, signature, when, now); err != nil {
		return fail(Unverified, "%s: %w", revision, err)
	}
	return nil
}

// signedText is what was signed, and the signature.
type signedText struct {
	text      []byte
	signature string
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
	return signedText{data[:cut], string(data[cut:])}
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
func (k *keys) check(text []byte, signature string, when, now time.Time) error {
	switch {
	case signature == "":
		return errors.New("is not signed")
	case strings.HasPrefix(signature, pgpBegins):
		at := func() time.Time { return now }
		_, err := openpgp.CheckArmoredDetachedSignature(k.pgp, bytes.NewReader(text), strings.NewReader(signature), &packet.Config{Time: at})
		if err != nil {
			return errors.New("its OpenPGP signature is not by one of the keys of verify.openPGPKeys: " + err.Error())
		}
		return nil
	case strings.HasPrefix(signature, sshBegins):
		return k.checkSSH(text, signature, when)
	}
	return errors.New("its signature is neither OpenPGP nor SSH")
}

func (k *keys) checkSSH(text []byte, signature string, when time.Time) error {
	parsed, err := sshsig.Unarmor([]byte(signature))
	if err != nil {
		return errors.New("its SSH signature cannot be read: " + err.Error())
	}
	why := errors.New("its SSH signature is not by one of the keys of verify.allowedSigners")
	for _, s := range k.ssh {
		if !bytes.Equal(s.key.Marshal(), parsed.PublicKey.Marshal()) {
			continue
		}
		if why = s.may(when); why == nil {
			return sshsig.Verify(bytes.NewReader(text), parsed, s.key, parsed.HashAlgorithm, namespace)
		}
	}
	return why
}
