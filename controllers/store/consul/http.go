// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/backoff"
	"github.com/jiocloud/upgrade-controller/controllers/core/keys"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// firstPause and maxPause bound the pause between two attempts to read.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// maxErrorBody is how much of the body of an error is read.
const maxErrorBody = 1 << 10

// The kinds of requests to the key-value store, which Config.Observe tells apart.
const (
	kindList = "list"
	kindKeys = "keys"
	kindGet  = "get"
	kindWait = "wait"
)

// request is one call of Consul's HTTP API.
type request struct {
	// use says which connections the request takes.
	use use
	// kind is for Config.Observe. Empty means the part of the API that path is in.
	kind         string
	method, path string
	query        []string // names without value, as ?keys
	body         []byte
	// needs is the ACL rule that a token needs.
	needs need
	// accept are the statuses that are not errors.
	accept []int
	// compressed asks for a compressed answer.
	compressed bool
}

// need is an ACL rule and what it is about.
type need struct{ key, rule string }

// write sends a request once. It calls answer with an accepted answer.
func (s *Store) write(ctx context.Context, r request, answer func(*http.Response) error) error {
	r.use = forWrites
	return s.attempt(ctx, s.config.WriteTimeout, r, answer)
}

// read sends a request, and retries while Consul is unavailable, at most for RetryFor.
func (s *Store) read(ctx context.Context, r request, answer func(*http.Response) error) error {
	r.use = forReads
	until := time.Now().Add(s.config.RetryFor)
	delay := backoff.New(firstPause, maxPause, 0)
	for {
		err := s.attempt(ctx, s.config.ReadTimeout, r, answer)
		pause := delay.Step()
		if _, ok := errors.AsType[*store.UnavailableError](err); !ok || time.Now().Add(pause).After(until) {
			return err
		}
		if backoff.Sleep(ctx, pause) != nil {
			return s.ended(ctx)
		}
	}
}

// attempt sends a request once, observes it, and turns a failure of the connection into a *store.UnavailableError. If Consul refuses
// the token and there is another one by then, it sends the request again: Consul has not carried it out.
func (s *Store) attempt(ctx context.Context, timeout time.Duration, r request, answer func(*http.Response) error) error {
	bounded, cancel := context.WithTimeoutCause(ctx, timeout, &timeoutError{timeout})
	defer cancel()
	id, err := s.identify(bounded)
	if err != nil { // nothing was sent but a login, which is observed
		_, err = s.classify(bounded, "", err)
		return err
	}
	err = s.observed(bounded, id, r, answer)
	next := s.afterRefusal(bounded, id, err)
	if next == nil {
		return err
	}
	return s.observed(bounded, next, r, answer)
}

// observed sends a request, observes it and returns its error.
func (s *Store) observed(ctx context.Context, id *identity, r request, answer func(*http.Response) error) error {
	code, received, err := s.exchange(ctx, id, r, answer)
	if code, err = s.classify(ctx, code, err); code != "" {
		s.config.observe(cmp.Or(r.kind, strings.Split(r.path, "/")[2]), code, received)
	}
	return err
}

// afterRefusal returns the identity to send a request with again. Nil means that it is not sent again. After a failure of the
// connection it only reads the files, since the certificates may have changed.
func (s *Store) afterRefusal(ctx context.Context, used *identity, err error) *identity {
	_, forbidden := errors.AsType[*store.ForbiddenError](err)
	_, unavailable := errors.AsType[*store.UnavailableError](err)
	switch {
	case forbidden && s.credentials.login.AuthMethod != "" && strings.Contains(err.Error(), unknownToken):
		return s.loginRefused(ctx, used, err)
	case forbidden:
		return s.credentials.refused(used)
	case unavailable && s.base.Scheme == "https":
		s.credentials.refused(used)
	}
	return nil
}

// timeoutError is the cause of the end of a request that took too long.
type timeoutError struct{ timeout time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("no answer within %s", e.timeout) }

// classify returns the code and the error of a request. An error without a code was not sent, unless the connection failed.
func (s *Store) classify(ctx context.Context, code string, err error) (string, error) {
	if err == nil {
		return code, nil
	}
	if late, ok := errors.AsType[*timeoutError](context.Cause(ctx)); ok {
		return NoAnswer, s.unavailable(late)
	}
	if ctx.Err() != nil {
		return Ended, s.ended(ctx)
	}
	if lost, ok := errors.AsType[*lostError](err); ok {
		return NoAnswer, s.unavailable(lost.err)
	}
	return code, err
}

// exchange sends a request and reads its answer. It returns the status and the number of bytes of the body.
func (s *Store) exchange(ctx context.Context, id *identity, r request, answer func(*http.Response) error) (code string, received int64,
	err error) {
	response, err := s.send(ctx, id, r)
	if err != nil {
		return "", 0, err
	}
	body := &counted{ReadCloser: response.Body}
	response.Body = body
	if slices.Contains(r.accept, response.StatusCode) {
		err = answer(response)
	} else {
		err = s.refusal(r, response)
	}
	closeBody(response)
	return strconv.Itoa(response.StatusCode), body.bytes, err
}

// counted counts the bytes that are read from a body.
type counted struct {
	io.ReadCloser
	bytes int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes += int64(n)
	return n, err
}

// lostError is a failure of the connection, in contrast to an answer with an error.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }

func (s *Store) send(ctx context.Context, id *identity, r request) (*http.Response, error) {
	target := s.base
	target.Path += r.path
	target.RawQuery = s.params.Encode()
	for _, name := range r.query {
		target.RawQuery += "&" + name
	}
	sent, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, errors.New(s.credentials.withoutSecrets(err.Error()))
	}
	maps.Copy(sent.Header, id.header)
	if !r.compressed { // for large answers, compression takes longer than the transfer within one network
		sent.Header.Set("Accept-Encoding", "identity")
	}
	response, err := s.clients.get(id, r.use).Do(sent)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the URL: the message has the address already
		}
		return nil, &lostError{err}
	}
	return response, nil
}

// unknownToken is part of Consul's answer to a token that it does not know.
const unknownToken = "ACL not found"

// refusal is the error for a status that is not accepted.
func (s *Store) refusal(r request, response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorBody)) // a part of the message is better than none
	text := s.credentials.withoutSecrets(strings.ToValidUTF8(strings.TrimSpace(string(body)), "\uFFFD"))
	switch code := response.StatusCode; {
	case code == http.StatusForbidden:
		denied := &store.ForbiddenError{Key: r.needs.key, Policy: r.needs.rule, Err: errors.New(text)}
		if strings.Contains(text, unknownToken) {
			denied.UnknownToken = s.config.tokenOrigin()
		}
		return denied
	case code >= 300 && code < 400:
		return fmt.Errorf("consul at %s: %s %s: status %d: a redirect to %s is not followed: set the address that answers", s.addr,
			r.method, r.path, code, s.credentials.withoutSecrets(strconv.Quote(response.Header.Get("Location"))))
	case code == http.StatusTooManyRequests || code >= http.StatusInternalServerError:
		return s.unavailable(&statusError{code, text})
	default:
		return fmt.Errorf("consul at %s: %s %s: %w", s.addr, r.method, r.path, &statusError{code, text})
	}
}

// statusError is an answer with a status that is not accepted.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

func (s *Store) unavailable(err error) error {
	return &store.UnavailableError{Address: s.addr, Err: err}
}

func (s *Store) ended(ctx context.Context) error {
	return fmt.Errorf("consul at %s: %w", s.addr, ctx.Err())
}

// maxDrain bounds what is read of an unwanted rest of a body, so that its connection can be reused.
const maxDrain = 64 << 10

func closeBody(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, maxDrain)
	_ = response.Body.Close()
}

// needKey is the ACL rule for one key. Below config_state/ it is the rule for the whole tree, since a client that writes one key
// there writes all of them.
func needKey(key, policy string) need {
	tree := keys.Layout{}.ConfigState()
	if at := strings.Index("/"+key, "/"+tree); at >= 0 {
		return need{key, fmt.Sprintf("key_prefix %q { policy = %q }", key[:at+len(tree)], policy)}
	}
	return need{key, fmt.Sprintf("key %q { policy = %q }", key, policy)}
}

func needPrefix(prefix, policy string) need {
	return need{prefix, fmt.Sprintf("key_prefix %q { policy = %q }", prefix, policy)}
}

func needSession() need {
	return need{"sessions", `session_prefix "" { policy = "write" }`}
}
