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
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/jiocloud/upgrade-controller/controllers/tlsalert"
)

// maxRefs limits the list of references of a server, in bytes.
const maxRefs = 64 << 20

// maxSecret limits a file with credentials or keys, in bytes.
const maxSecret = 1 << 20

// session is a connection to git-upload-pack.
type session interface {
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	io.Closer
}

// server is a repository that is fetched over https or ssh.
type server struct {
	session
	location Location
	limits   Limits
	advertised
	capabilities *capability.List
}

// open connects to the repository and reads its references.
func open(ctx context.Context, location Location, limits Limits) (source, advertised, error) {
	if u, err := url.Parse(location.URL); err == nil && u.Scheme == "file" {
		return openLocal(u.Path, limits)
	}
	s, err := openServer(ctx, location, limits)
	if err != nil {
		return nil, advertised{}, err
	}
	return s, s.advertised, nil
}

func openServer(ctx context.Context, location Location, limits Limits) (*server, error) {
	u, err := url.Parse(location.URL)
	if err != nil {
		return nil, fail(Misconfigured, "url: %w", err)
	}
	var s session
	switch u.Scheme {
	case "https":
		s, err = dialHTTPS(location, limits)
	case "ssh":
		s, err = dialSSH(ctx, u, location.Auth)
	default:
		err = fail(Misconfigured, "url %q: must start with https://, ssh:// or file://", u.Redacted())
	}
	if err != nil {
		return nil, err
	}
	found, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, errors.Join(readableError(err), s.Close())
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
	return &server{s, location, limits, refs, found.Capabilities}, nil
}

// readableError adds a reason and plain words to the errors of the library.
func readableError(err error) error {
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return fail(Unreachable, "the server rejected the credentials: %w", err)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fail(NoSuchRef, "the repository is empty")
	}
	return err
}

// maxHistory limits how far history goes back, in commits. Without a filter, commits come with their files.
const (
	maxHistory           = 10_000
	maxHistoryUnfiltered = 500
)

// fetch requests one commit without its history. If the server only serves the targets of references, fetch requests all
// branches and tags with their history.
func (s *server) fetch(ctx context.Context, r Revision) (objects, error) {
	request := s.request(r, 1, packp.FilterBlobLimit(uint64(s.limits.File)+1, packp.BlobLimitPrefixNone))
	found, _, err := s.upload(ctx, request, allObjects)
	return found, err
}

// history requests the commits that a revision has and base has not. It needs a connection of its own, because a connection over
// ssh answers one request.
func (s *server) history(ctx context.Context, r Revision, base plumbing.Hash) (history, error) {
	again, err := openServer(ctx, s.location, s.limits)
	if err != nil {
		return history{}, err
	}
	defer func() { _ = again.Close() }() // read only
	depth := maxHistory
	if !again.capabilities.Supports(capability.Filter) {
		depth = maxHistoryUnfiltered
	}
	request := again.request(r, depth, packp.FilterTreeDepth(0))
	request.Haves = []plumbing.Hash{base}
	commits, response, err := again.upload(ctx, request, commitsOnly)
	if err != nil {
		return history{}, err
	}
	h := history{objects: commits, shallow: map[plumbing.Hash]bool{}, common: slices.Contains(response.ACKs, base)}
	for _, commit := range response.Shallows {
		h.shallow[commit] = true
	}
	return h, nil
}

func (s *server) request(r Revision, depth int, filter packp.Filter) *packp.UploadPackRequest {
	request := packp.NewUploadPackRequestFromCapabilities(s.capabilities)
	request.Wants = []plumbing.Hash{r.object}
	shallow := s.capabilities.Supports(capability.Shallow)
	if !s.isTip(r.object) && !s.capabilities.Supports(capability.AllowReachableSHA1InWant) &&
		!s.capabilities.Supports(capability.AllowTipSHA1InWant) {
		request.Wants, shallow = s.tips(), false
	}
	if shallow {
		request.Depth = packp.DepthCommits(depth)
		_ = request.Capabilities.Set(capability.Shallow) // it has no arguments
	}
	if s.capabilities.Supports(capability.Filter) {
		request.Filter = filter
		_ = request.Capabilities.Set(capability.Filter)
	}
	return request
}

func (s *server) upload(ctx context.Context, request *packp.UploadPackRequest, of contents) (*pack, *packp.UploadPackResponse, error) {
	response, err := s.UploadPack(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Close() }() // read only
	p, err := storePack(ctx, demultiplexed(request.Capabilities, response), s.limits, of)
	return p, response, err
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

// dialHTTPS creates a client that shares no state with other sources.
func dialHTTPS(location Location, limits Limits) (session, error) {
	endpoint, err := transport.NewEndpoint(location.URL)
	if err != nil {
		return nil, fail(Misconfigured, "url: %w", err)
	}
	trusted, err := location.Auth.rootCAs()
	if err != nil {
		return nil, err
	}
	auth, err := location.Auth.basicAuth()
	if err != nil {
		return nil, err
	}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}
	bounded := &limitedTransport{tlsalert.Transport{Transport: t}, limits}
	return githttp.NewClient(&http.Client{Transport: bounded}).NewUploadPackSession(endpoint, auth)
}

// limitedTransport limits the size of all response bodies.
type limitedTransport struct {
	http.RoundTripper
	limits Limits
}

func (l *limitedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	limit := int64(maxRefs)
	if path.Base(request.URL.Path) == transport.UploadPackServiceName {
		limit = l.limits.Pack
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{&limitedReader{r: response.Body, left: limit, what: "the server"}, response.Body}
	return response, nil
}

// rootCAs returns the certificates of CAFile. Nil means those of the system.
func (a Auth) rootCAs() (*x509.CertPool, error) {
	if a.CAFile == "" {
		return nil, nil
	}
	data, err := readSecretFile("auth.caFile", a.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fail(Misconfigured, "auth.caFile %s: contains no certificate in PEM", a.CAFile)
	}
	return pool, nil
}

// basicAuth returns the credentials for https. Nil means none.
func (a Auth) basicAuth() (transport.AuthMethod, error) {
	token := a.Token
	if token == "" && a.TokenFile != "" {
		data, err := readSecretFile("auth.tokenFile", a.TokenFile)
		if err != nil {
			return nil, err
		}
		if token = strings.TrimSpace(string(data)); token == "" {
			return nil, fail(Misconfigured, "auth.tokenFile %s is empty", a.TokenFile)
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

// readSecretFile reads a small file. The field names the configuration field in errors.
func readSecretFile(field, name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fail(Misconfigured, "%s: %w", field, err)
	}
	defer func() { _ = file.Close() }() // read only
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxSecret)
	}
	if err != nil {
		return nil, fail(Misconfigured, "%s: %w", field, err)
	}
	return data, nil
}
