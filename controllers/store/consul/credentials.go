// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	// DefaultRereadInterval is the default of Config.RereadInterval.
	DefaultRereadInterval = time.Minute
	// minRereadInterval is the minimum interval between two reads of the files because Consul refused a request.
	minRereadInterval = time.Second
	// maxSecrets limits the secrets that messages hide: those in use, and those before.
	maxSecrets = 10
)

// credentials authenticate requests. Stores of one process share them. The files are read again at an interval, and when Consul
// refuses a request. While a file cannot be used, what was read last stays.
type credentials struct {
	config Config
	login  login

	mu      sync.Mutex
	current *identity
	secrets []string // the last first
	hide    *strings.Replacer
	// read is when the files were read last, and forced when they were read because of a refusal.
	read, forced time.Time
}

// identity is what a request is authenticated with. It is immutable.
type identity struct {
	token  string
	header http.Header
	// transport has the certificates. It is the same in all identities with the same files, the hash that resolve returns.
	transport *http.Transport
	files     [sha256.Size]byte
	// certificate is that of the client. Nil means none.
	certificate *x509.Certificate
}

func newCredentials(c Config, resolved *api.Config, files [sha256.Size]byte) (*credentials, error) {
	own := &credentials{config: c, read: time.Now(), hide: strings.NewReplacer(),
		login: login{Login: c.Login, busy: make(chan struct{}, 1)}}
	id, err := own.identify(resolved, files)
	if err != nil {
		return nil, err
	}
	own.current = id
	own.remember(resolved)
	return own, nil
}

// identify returns the identity of a config and the hash of its files. It keeps the transport of the current one if the hash is the
// same.
func (c *credentials) identify(resolved *api.Config, files [sha256.Size]byte) (*identity, error) {
	id := &identity{token: resolved.Token, header: http.Header{}, files: files}
	switch {
	case c.login.AuthMethod != "" && c.current != nil:
		id.token = c.current.token // a token of a login
	case c.login.AuthMethod != "":
		id.token = ""
	case id.token == "" && c.current != nil:
		id.token = c.current.token // its file is empty while it is replaced
	}
	if resolved.HttpAuth != nil {
		request := http.Request{Header: id.header}
		request.SetBasicAuth(resolved.HttpAuth.Username, resolved.HttpAuth.Password)
	}
	if id.token != "" {
		id.header.Set(tokenHeader, id.token)
	}
	if c.current != nil && c.current.files == id.files {
		id.transport, id.certificate = c.current.transport, c.current.certificate
		return id, nil
	}
	var ok bool
	if id.transport, ok = resolved.HttpClient.Transport.(*http.Transport); !ok {
		return nil, fmt.Errorf("the HTTP client of Consul has the transport %T", resolved.HttpClient.Transport)
	}
	if config := id.transport.TLSClientConfig; config != nil && len(config.Certificates) > 0 {
		id.certificate = config.Certificates[0].Leaf
	}
	return id, nil
}

// tokenHeader is the header of the ACL token.
const tokenHeader = "X-Consul-Token"

// withToken returns the same identity with another token. Empty means none.
func (id *identity) withToken(token string) *identity {
	other := *id
	other.token, other.header = token, id.header.Clone()
	other.header.Del(tokenHeader)
	if token != "" {
		other.header.Set(tokenHeader, token)
	}
	return &other
}

// remember adds the secrets of a config to those that messages hide.
func (c *credentials) remember(resolved *api.Config) {
	c.hideSecret(resolved.Token)
	if resolved.HttpAuth != nil {
		c.hideSecret(resolved.HttpAuth.Password)
	}
}

// hideSecret adds a secret to those that messages hide.
func (c *credentials) hideSecret(secret string) {
	if secret == "" || slices.Contains(c.secrets, secret) {
		return
	}
	c.secrets = append([]string{secret}, c.secrets[:min(len(c.secrets), maxSecrets-1)]...)
	var pairs []string
	for _, s := range c.secrets {
		pairs = append(pairs, s, "<token>")
	}
	c.hide = strings.NewReplacer(pairs...)
}

// withoutSecrets removes secrets from a message.
func (c *credentials) withoutSecrets(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hide.Replace(text)
}

// get returns the identity for a request. It reads the files if that is due.
func (c *credentials) get() *identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) >= cmp.Or(c.config.RereadInterval, DefaultRereadInterval) {
		c.reread()
	}
	return c.current
}

// refused reads the files after a request with an identity was refused. It returns the identity to repeat the request with. Nil
// means that there is no other one.
func (c *credentials) refused(used *identity) *identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == used && time.Since(c.forced) >= minRereadInterval {
		c.forced = time.Now()
		c.reread()
	}
	if c.current.token == used.token && c.current.transport == used.transport {
		return nil
	}
	return c.current
}

// reread reads the files. The identity stays the same unless their content has changed.
func (c *credentials) reread() {
	c.read = time.Now()
	resolved, files, err := c.config.resolve()
	if err != nil {
		return // a file is missing or incomplete while it is replaced
	}
	id, err := c.identify(resolved, files)
	if err == nil && (id.token != c.current.token || id.transport != c.current.transport) {
		c.current = id
		c.remember(resolved)
	}
}

// setToken makes the token of a login that of further requests.
func (c *credentials) setToken(token string) *identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = c.current.withToken(token)
	c.hideSecret(token)
	return c.current
}
