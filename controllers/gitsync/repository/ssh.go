// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// maxStderr limits the standard error of a server that is kept, in bytes.
const maxStderr = 1 << 10

// sshSession runs git-upload-pack on a host. The session of go-git ignores the context while it connects, and reads the
// SSH configuration of the user.
type sshSession struct {
	client *ssh.Client
	in     io.WriteCloser
	out    *bufio.Reader
	// stderr receives the first line of the standard error of the host once that is closed.
	stderr chan string
}

// dialSSH connects to a host and verifies its key. The connection closes when the context ends.
func dialSSH(ctx context.Context, u *url.URL, auth Auth) (session, error) {
	config, address, err := auth.sshConfig(u)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		stop()
		return nil, errors.Join(handshakeError(address, err), conn.Close())
	}
	s := &sshSession{client: ssh.NewClient(c, channels, requests), stderr: make(chan string, 1)}
	if err := s.start(u.Path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// handshakeError turns an SSH handshake failure into a readable message.
func handshakeError(address string, err error) error {
	switch {
	case knownhosts.IsHostKeyChanged(err):
		return fail(Unreachable, "auth.knownHostsFile: the key of %s has changed: %w", address, err)
	case knownhosts.IsHostUnknown(err):
		return fail(Unreachable, "auth.knownHostsFile: no key for %s: %w", address, err)
	}
	return err
}

// sshConfig returns the SSH configuration and the address of a host.
func (a Auth) sshConfig(u *url.URL) (*ssh.ClientConfig, string, error) {
	data, err := readSecretFile("auth.sshKeyFile", a.SSHKeyFile)
	if err != nil {
		return nil, "", err
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return nil, "", fail(Misconfigured, "auth.sshKeyFile %s: must be a private key without a passphrase: %w", a.SSHKeyFile, err)
	}
	known, err := knownhosts.NewDB(a.KnownHostsFile)
	if err != nil {
		return nil, "", fail(Misconfigured, "auth.knownHostsFile: %w", err)
	}
	port, user := u.Port(), "git"
	if port == "" {
		port = "22"
	}
	if name := u.User.Username(); name != "" {
		user = name
	}
	address := net.JoinHostPort(u.Hostname(), port)
	return &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: known.HostKeyCallback(), HostKeyAlgorithms: known.HostKeyAlgorithms(address)}, address, nil
}

func (s *sshSession) start(path string) error {
	running, err := s.client.NewSession()
	if err != nil {
		return err
	}
	out, err := running.StdoutPipe()
	if err != nil {
		return err
	}
	if s.in, err = running.StdinPipe(); err != nil {
		return err
	}
	stderr, err := running.StderrPipe()
	if err != nil {
		return err
	}
	go func() {
		text, _ := io.ReadAll(io.LimitReader(stderr, maxStderr)) // a partial text is useful
		_, _ = io.Copy(io.Discard, stderr)
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		s.stderr <- line
	}()
	s.out = bufio.NewReader(out)
	return running.Start(transport.UploadPackServiceName + " '" + strings.ReplaceAll(path, "'", `'\''`) + "'")
}

func (s *sshSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(&limitedReader{r: s.out, left: maxRefs, what: "the server"})
	switch {
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, fail(Unreachable, "the server reported: %s", <-s.stderr)
	case errors.Is(err, packp.ErrEmptyAdvRefs), err == nil && refs.IsEmpty():
		return nil, transport.ErrEmptyRemoteRepository
	case err != nil:
		return nil, err
	}
	transport.FilterUnsupportedCapabilities(refs.Capabilities)
	return refs, nil
}

func (s *sshSession) UploadPack(_ context.Context, request *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	if err := request.UploadRequest.Encode(s.in); err != nil {
		return nil, err
	}
	if err := request.UploadHaves.Encode(s.in, false); err != nil {
		return nil, err
	}
	if err := pktline.NewEncoder(s.in).EncodeString("done\n"); err != nil {
		return nil, err
	}
	response := packp.NewUploadPackResponse(request)
	if err := response.Decode(io.NopCloser(s.out)); err != nil {
		return nil, fmt.Errorf("cannot decode the response of the server: %w", err)
	}
	return response, nil
}

func (s *sshSession) Close() error {
	_ = s.client.Close() // the server may have closed it already
	return nil
}
