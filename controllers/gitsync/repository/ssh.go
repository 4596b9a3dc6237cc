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

// maxComplaint bounds what a server says of its troubles, in bytes.
const maxComplaint = 1 << 10

// sshSession runs git-upload-pack on a host. The library's own knows no context while it connects, and reads the
// configuration of whoever runs it.
type sshSession struct {
	client *ssh.Client
	in     io.WriteCloser
	out    *bufio.Reader
	// complaint is the first line that the host wrote on its standard error; it comes when that ends.
	complaint chan string
}

// dialSSH connects to a host whose key must be known. The connection ends with the context.
func dialSSH(ctx context.Context, u *url.URL, auth Auth) (session, error) {
	config, address, err := auth.client(u)
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
		return nil, errors.Join(handshake(address, err), conn.Close())
	}
	s := &sshSession{client: ssh.NewClient(c, channels, requests), complaint: make(chan string, 1)}
	if err := s.start(u.Path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// handshake says in words of people why a host was not talked to.
func handshake(address string, err error) error {
	switch {
	case knownhosts.IsHostKeyChanged(err):
		return fail(Unreachable, "auth.knownHostsFile: %s shows another key than the one that is known: %w", address, err)
	case knownhosts.IsHostUnknown(err):
		return fail(Unreachable, "auth.knownHostsFile: does not know %s: %w", address, err)
	}
	return err
}

// client is how a host is logged in to.
func (a Auth) client(u *url.URL) (*ssh.ClientConfig, string, error) {
	data, err := secret("auth.sshKeyFile", a.SSHKeyFile)
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
	trouble, err := running.StderrPipe()
	if err != nil {
		return err
	}
	go func() {
		text, _ := io.ReadAll(io.LimitReader(trouble, maxComplaint)) // what came is told
		_, _ = io.Copy(io.Discard, trouble)
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		s.complaint <- line
	}()
	s.out = bufio.NewReader(out)
	return running.Start(transport.UploadPackServiceName + " '" + strings.ReplaceAll(path, "'", `'\''`) + "'")
}

func (s *sshSession) AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(&bounded{r: s.out, left: maxRefs, what: "the server"})
	switch {
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, fail(Unreachable, "the server says: %s", <-s.complaint)
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
	if err := pktline.NewEncoder(s.in).EncodeString("done\n"); err != nil {
		return nil, err
	}
	response := packp.NewUploadPackResponse(request)
	if err := response.Decode(io.NopCloser(s.out)); err != nil {
		return nil, fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	return response, nil
}

func (s *sshSession) Close() error {
	_ = s.client.Close() // the server may have closed it before
	return nil
}
