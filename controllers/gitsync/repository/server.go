// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package repository

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// maxRefs bounds the list of references of a server, in bytes.
const maxRefs = 64 << 20

// maxSecret bounds a file with credentials or keys, in bytes.
const maxSecret = 1 << 20

// session speaks with a server.
type session interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	io.Closer
}

// server is a repository behind a server.
type server struct {
	session
	limits Limits
	advertised
	can *capability.List
}

// open finds out how a repository is read, and which references it has.
func open(ctx context.Context, location Location, limits Limits) (source, advertised, error) {
	u, err := url.Parse(location.URL)
	if err != nil {
		return nil, advertised{}, fail(Misconfigured, "url: %w", err)
	}
	var s session
	switch u.Scheme {
	case "file":
		return openLocal(u.Path, limits)
	case "https":
		s, err = dialHTTPS(location, limits)
	case "ssh":
		s, err = dialSSH(ctx, u, location.Auth)
	default:
		err = fail(Misconfigured, "url %q: must begin with https://, ssh:// or file://", u.Redacted())
	}
	if err != nil {
		return nil, advertised{}, err
	}
	found, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, advertised{}, errors.Join(plain(err), s.Close())
	}
	refs := advertised{refs: found.References, peeled: found.Peeled}
	if found.Head != nil {
		refs.head, refs.branch = *found.Head, "HEAD"
	}
	for _, link := range found.Capabilities.Get(capability.SymRef) {
		if branch, ok := strings.CutPrefix(link, "HEAD:refs/heads/"); ok {
			refs.branch = branch
		}
	}
	return &server{s, limits, refs, found.Capabilities}, refs, nil
}

// plain says in words of people what the library has found.
func plain(err error) error {
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return fail(Unreachable, "the server refuses the credentials: %w", err)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fail(NoSuchRef, "the repository is empty")
	}
	return err
}

// fetch asks for one commit without its history, unless the server only gives what a reference points to.
func (s *server) fetch(ctx context.Context, r Revision) (objects, error) {
	request := packp.NewUploadPackRequestFromCapabilities(s.can)
	request.Wants = []plumbing.Hash{r.object}
	shallow := s.can.Supports(capability.Shallow)
	if !s.isTip(r.object) && !s.can.Supports(capability.AllowReachableSHA1InWant) && !s.can.Supports(capability.AllowTipSHA1InWant) {
		request.Wants, shallow = s.heads(), false
	}
	if shallow {
		request.Depth = packp.DepthCommits(1)
		_ = request.Capabilities.Set(capability.Shallow) // it is known
	}
	if s.can.Supports(capability.Filter) {
		request.Filter = packp.FilterBlobLimit(uint64(s.limits.File)+1, packp.BlobLimitPrefixNone)
		_ = request.Capabilities.Set(capability.Filter)
	}
	response, err := s.UploadPack(ctx, request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Close() }() // it was only read
	return receive(demultiplexed(request.Capabilities, response), s.limits)
}

func demultiplexed(can *capability.List, r io.Reader) io.Reader {
	switch {
	case can.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case can.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	}
	return r
}

// dialHTTPS makes a client of its own: nothing is shared with others, and no variable is set.
func dialHTTPS(location Location, limits Limits) (session, error) {
	endpoint, err := transport.NewEndpoint(location.URL)
	if err != nil {
		return nil, fail(Misconfigured, "url: %w", err)
	}
	trusted, err := location.Auth.trusted()
	if err != nil {
		return nil, err
	}
	auth, err := location.Auth.basic()
	if err != nil {
		return nil, err
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	return githttp.NewClient(&http.Client{Transport: &limited{t, limits}}).NewUploadPackSession(endpoint, auth)
}

// limited bounds the bodies of all answers.
type limited struct {
	http.RoundTripper
	limits Limits
}

func (l *limited) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	most := int64(maxRefs)
	if path.Base(request.URL.Path) == transport.UploadPackServiceName {
		most = l.limits.Pack
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{&bounded{r: response.Body, left: most, what: "the server"}, response.Body}
	return response, nil
}

// trusted are the certificates of CAFile; nil: those of the system.
func (a Auth) trusted() (*x509.CertPool, error) {
	if a.CAFile == "" {
		return nil, nil
	}
	data, err := secret("auth.caFile", a.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fail(Misconfigured, "auth.caFile %s: holds no certificate in PEM", a.CAFile)
	}
	return pool, nil
}

// basic is how a token is given to a server; nil: not at all.
func (a Auth) basic() (transport.AuthMethod, error) {
	token := a.Token
	if token == "" && a.TokenFile != "" {
		data, err := secret("auth.tokenFile", a.TokenFile)
		if err != nil {
			return nil, err
		}
		if token = strings.TrimSpace(string(data)); token == "" {
			return nil, fail(Misconfigured, "auth.tokenFile %s: is empty", a.TokenFile)
		}
	}
	if token == "" {
		return nil, nil
	}
	username := a.Username
	if username == "" {
		username = "git"
	}
	return &githttp.BasicAuth{Username: username, Password: token}, nil
}

// secret reads a small file; field is what names it.
func secret(field, name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fail(Misconfigured, "%s: %w", field, err)
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("%s: is larger than the %d bytes that are read", name, maxSecret)
	}
	if err != nil {
		return nil, fail(Misconfigured, "%s: %w", field, err)
	}
	return data, nil
}
