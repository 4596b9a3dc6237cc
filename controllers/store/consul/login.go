// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// DefaultBearerTokenFile is where Kubernetes mounts the token of a service account.
const DefaultBearerTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path

// The pauses between two logins, of which the second is needed because the first failed or its token was refused.
const (
	firstLoginPause = time.Second
	maxLoginPause   = time.Minute
)

// Login is an auth method of Consul as the source of the ACL token, of type jwt or kubernetes. The zero value means none.
type Login struct {
	// AuthMethod is its name.
	AuthMethod string
	// BearerTokenFile holds the JWT. Empty means DefaultBearerTokenFile. It is read at each login.
	BearerTokenFile string
}

// login is the state of logins.
type login struct {
	Login
	// busy is full during a login.
	busy chan struct{}

	// The following fields belong to the holder of busy.
	token      string
	begun, end time.Time // of the token; a zero end means that it does not expire
	pause      backoff.Delays
	paused     bool
	next       time.Time // no login before
	err        error     // why
}

// identify returns the identity for a request. It logs in if an auth method is set and its token is missing, was refused, or has
// used up two thirds of its time.
func (s *Store) identify(ctx context.Context) (*identity, error) {
	id := s.credentials.get()
	l := &s.credentials.login
	if l.AuthMethod == "" {
		return id, nil
	}
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := time.Now()
	if !l.due(now) {
		return s.credentials.get(), nil
	}
	if now.Before(l.next) {
		return s.waitForLogin(now)
	}
	token, err := s.logIn(ctx, id.withToken(""))
	if err != nil {
		l.failed(now, err)
		if l.usable(now) {
			return s.credentials.get(), nil
		}
		return nil, err
	}
	l.succeeded(now, token)
	return s.credentials.setToken(token.SecretID), nil
}

// waitForLogin returns the token in use if there is one, or an error until the next login.
func (s *Store) waitForLogin(now time.Time) (*identity, error) {
	l := &s.credentials.login
	if l.usable(now) {
		return s.credentials.get(), nil
	}
	return nil, fmt.Errorf("no login for %s: %w", l.next.Sub(now).Round(time.Second), l.err)
}

// due reports whether a token is missing, or has used up two thirds of its time.
func (l *login) due(now time.Time) bool {
	return l.token == "" || !l.end.IsZero() && now.After(l.begun.Add(l.end.Sub(l.begun)*2/3))
}

func (l *login) usable(now time.Time) bool {
	return l.token != "" && (l.end.IsZero() || now.Before(l.end))
}

// failed delays the next login.
func (l *login) failed(now time.Time, err error) {
	l.err = err
	if !l.paused {
		l.pause, l.paused = backoff.New(firstLoginPause, maxLoginPause, 0.5), true
	}
	l.next = now.Add(l.pause.Step())
}

func (l *login) succeeded(now time.Time, token api.ACLToken) {
	l.token, l.begun, l.end = token.SecretID, now, time.Time{}
	if token.ExpirationTime != nil {
		l.end = now.Add(token.ExpirationTime.Sub(token.CreateTime)) // the clocks of this machine and of Consul may differ
	}
}

// loginRefused forgets the token of a login that Consul does not know any more. It returns the identity to repeat the request with.
// Nil means that there is no other one.
func (s *Store) loginRefused(ctx context.Context, used *identity, refusal error) *identity {
	l := &s.credentials.login
	select {
	case l.busy <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	if l.token == used.token {
		l.token = ""
		if now := time.Now(); now.Before(l.begun.Add(maxLoginPause)) {
			l.failed(now, refusal) // a token that is refused soon after its login: do not log in again and again
		} else {
			l.paused = false
		}
	}
	<-l.busy
	id, err := s.identify(ctx)
	if err != nil || id.token == used.token {
		return nil
	}
	return id
}

// logIn exchanges the JWT for a token.
func (s *Store) logIn(ctx context.Context, id *identity) (token api.ACLToken, err error) {
	l := &s.credentials.login
	bearer, err := s.config.readFile(l.file())
	if err != nil {
		return token, fmt.Errorf("log in with the auth method %s: %w", l.AuthMethod, err)
	}
	jwt := strings.TrimSpace(string(bearer))
	s.credentials.keepSecret(jwt)
	body, err := json.Marshal(api.ACLLoginParams{AuthMethod: l.AuthMethod, BearerToken: jwt})
	if err != nil {
		return token, err
	}
	r := request{use: forWrites, kind: "login", method: http.MethodPost, path: "/v1/acl/login", body: body, accept: []int{http.StatusOK},
		needs: need{"login with the auth method " + l.AuthMethod, "a binding rule"}}
	err = s.observed(ctx, id, r, func(response *http.Response) error {
		if err := json.NewDecoder(response.Body).Decode(&token); err != nil {
			return &lostError{err}
		}
		if token.SecretID == "" {
			return errors.New("the answer to a login has no token")
		}
		return nil
	})
	return token, err
}

func (l *login) file() string {
	if l.BearerTokenFile == "" {
		return DefaultBearerTokenFile
	}
	return l.BearerTokenFile
}

// keepSecret hides a secret in messages.
func (c *credentials) keepSecret(secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hideSecret(secret)
}

// Logout destroys the token of a login. Without one it does nothing.
func (s *Store) Logout(ctx context.Context) error {
	l := &s.credentials.login
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.token == "" {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.config.WriteTimeout, &timeoutError{s.config.WriteTimeout})
	defer cancel()
	r := request{use: forWrites, kind: "logout", method: http.MethodPost, path: "/v1/acl/logout", accept: []int{http.StatusOK}}
	err := s.observed(ctx, s.credentials.get(), r, func(*http.Response) error { return nil })
	l.token = ""
	return err
}

// Expiring returns the credentials in use that expire. It asks Consul about the token. With an error, the result lacks the token: a
// token that has expired is unknown to Consul, which is a *store.ForbiddenError.
func (s *Store) Expiring(ctx context.Context) ([]store.Credential, error) {
	id := s.credentials.get()
	var all []store.Credential
	if c := id.certificate; c != nil {
		all = append(all, store.Credential{Kind: "certificate", Begin: c.NotBefore, End: c.NotAfter})
	}
	token, err := s.self(ctx, s.read)
	if err != nil || token.ExpirationTime == nil {
		return all, err
	}
	kind := "token"
	if s.credentials.login.AuthMethod != "" {
		kind = "login"
	}
	return append(all, store.Credential{Kind: kind, Begin: token.CreateTime, End: *token.ExpirationTime}), nil
}

// Accessor returns the accessor ID of the token in use, which is no secret. Empty means that there is none: without ACLs, for
// instance. It asks once.
func (s *Store) Accessor(ctx context.Context) (string, error) {
	token, err := s.self(ctx, func(ctx context.Context, r request, answer func(*http.Response) error) error {
		r.use = forReads
		return s.attempt(ctx, s.config.ReadTimeout, r, answer)
	})
	return token.AccessorID, err
}

// self returns the token in use, with one call of ask. Without ACLs, and without a token, it is zero.
func (s *Store) self(ctx context.Context, ask func(context.Context, request, func(*http.Response) error) error) (
	token api.ACLToken, err error) {
	accept := []int{http.StatusOK, http.StatusUnauthorized, http.StatusNotFound} // also without ACLs
	if s.credentials.get().token == "" && s.credentials.login.AuthMethod == "" {
		accept = append(accept, http.StatusForbidden)
	}
	r := request{kind: "acl", method: http.MethodGet, path: "/v1/acl/token/self", accept: accept,
		needs: need{"the token in use", "to be known to Consul"}}
	err = ask(ctx, r, func(response *http.Response) error {
		if response.StatusCode != http.StatusOK {
			return nil
		}
		var data bytes.Buffer
		if _, err := data.ReadFrom(response.Body); err != nil {
			return &lostError{err}
		}
		return json.Unmarshal(data.Bytes(), &token)
	})
	return token, err
}
