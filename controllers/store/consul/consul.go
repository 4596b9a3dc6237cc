// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/tlsalert"
)

// The defaults of Config.
const (
	DefaultReadTimeout  = 30 * time.Second
	DefaultWriteTimeout = 10 * time.Second
	DefaultRetryFor     = 5 * time.Second
)

// readBuffer is the size of a connection's read buffer. The large answers have many megabytes.
const readBuffer = 256 << 10

// opsBefore114 is how many operations a Consul before 1.14 accepts in a transaction.
const opsBefore114 = 64

// Config says which Consul to use. Empty fields are taken from Consul's own environment variables (CONSUL_HTTP_ADDR,
// CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_SSL, CONSUL_CACERT, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY,
// CONSUL_NAMESPACE, …), or else from its defaults.
type Config struct {
	// Address is host:port, http://…, https://… or unix:///path.
	Address string
	// Token is the ACL token. TokenFile holds one, and takes precedence.
	Token, TokenFile string
	// CAFile, ClientCert and ClientKey are PEM files for TLS.
	CAFile, ClientCert, ClientKey string
	// Datacenter and Namespace default to those of the Consul agent and of the token.
	Datacenter, Namespace string

	// Login is a source of the token. It takes precedence over Token and TokenFile.
	Login Login
	// RereadInterval is the interval at which the files are read again. They are also read when Consul refuses a request. 0 means
	// DefaultRereadInterval.
	RereadInterval time.Duration
	// ReadFile reads all files of the config and the environment, at first and again. Nil means os.ReadFile. An error later keeps what
	// was read last.
	ReadFile func(path string) ([]byte, error)
	// InsecureSkipVerify accepts any certificate of Consul. CONSUL_HTTP_SSL_VERIFY=false alone is refused for TLS.
	InsecureSkipVerify bool

	// Stale lets any server answer reads, even one that lags behind. Hosts read like that: the transaction that acts on a read
	// checks it again. By default reads are consistent.
	Stale bool

	// ReadTimeout bounds one attempt to read. WriteTimeout bounds a write, or the renewal of a session. 0 means the default.
	ReadTimeout, WriteTimeout time.Duration
	// RetryFor is how long a read is retried while Consul does not answer, has no leader or is overloaded. 0 means the default,
	// and a negative value that nothing is retried. Writes are never retried, since they may have been applied.
	RetryFor time.Duration

	// MaxConnections bounds the connections to Consul of each kind. The zero value means no limits.
	MaxConnections Connections

	// Observe is called after each request, by several goroutines at once. Kind is list (the pairs below a prefix), keys (their
	// names), get, txn, wait (for a change), session or another part of Consul's API. Code is the status of the answer, NoAnswer
	// or Ended. Received are the bytes of the answer's body on the wire. Observe may be nil.
	Observe func(kind, code string, received int64)
}

// Connections are numbers of connections by what they are for. A kind with a limit has connections of its own, so that writes
// do not wait for reads, and neither waits for watches. 0 means no limit.
type Connections struct{ Reads, Writes, Waits int }

// Codes for Config.Observe when there is no status.
const (
	// NoAnswer means that no answer came, or only a part.
	NoAnswer = "none"
	// Ended means that the caller ended the request. That says nothing about Consul.
	Ended = "ended"
)

// Store is a store.Store in Consul, safe for concurrent use.
//
// A read takes at most RetryFor and one ReadTimeout, and twice that for Unhealthy and Nodes without a token. A write takes at
// most one WriteTimeout. If a write fails with a context error or a *store.UnavailableError, it may or may not have been applied.
type Store struct {
	config      Config
	credentials *credentials
	clients     clients
	base        url.URL // scheme, host and path before /v1
	params      url.Values
	addr        string // as the user gave it, without secrets

	// old is true after an answer has shown that the server is older than 1.14.
	old atomic.Bool
}

var _ store.Store = (*Store)(nil)

// New returns a store. It reads the files that the config and the environment name, and sends nothing.
func New(c Config) (*Store, error) {
	resolved, files, err := c.resolve()
	if err != nil {
		return nil, err
	}
	own, err := newCredentials(c, resolved, files)
	if err != nil {
		return nil, err
	}
	s := &Store{config: c.withDefaults(), credentials: own, addr: withoutUser(c.givenAddress()), clients: clients{limits: c.MaxConnections},
		base: url.URL{Scheme: resolved.Scheme, Host: resolved.Address, Path: resolved.PathPrefix}, params: url.Values{}}
	if strings.HasPrefix(s.base.Host, "/") {
		s.base.Host = "localhost" // a Unix socket: the client makes the connection, and ignores the name
	}
	for name, value := range map[string]string{"dc": resolved.Datacenter, "ns": resolved.Namespace,
		"partition": resolved.Partition} {
		if value != "" {
			s.params.Set(name, value)
		}
	}
	return s, nil
}

// WithConnections returns a store with other connections that shares the credentials of this one.
func (s *Store) WithConnections(limits Connections) *Store {
	other := &Store{config: s.config, credentials: s.credentials, clients: clients{limits: limits}, base: s.base, params: s.params,
		addr: s.addr}
	other.config.MaxConnections = limits
	other.old.Store(s.old.Load())
	return other
}

// givenAddress returns the address as the user gave it.
func (c Config) givenAddress() string { return cmp.Or(c.Address, api.DefaultConfig().Address) }

// resolve reads the environment and the files. It also returns the hash of the files with certificates.
func (c Config) resolve() (resolved *api.Config, files [sha256.Size]byte, err error) {
	resolved = api.DefaultConfig()
	override(&resolved.Address, c.Address)
	override(&resolved.Token, c.Token)
	override(&resolved.TLSConfig.CAFile, c.CAFile)
	override(&resolved.TLSConfig.CertFile, c.ClientCert)
	override(&resolved.TLSConfig.KeyFile, c.ClientKey)
	override(&resolved.Datacenter, c.Datacenter)
	override(&resolved.Namespace, c.Namespace)
	resolved.Transport.ReadBufferSize = readBuffer
	given := resolved.Address
	tls := resolved.TLSConfig
	if !strings.Contains(given, "://") && resolved.Scheme == "http" && tls.CAFile+tls.CAPath+tls.CertFile != "" {
		return nil, files, fmt.Errorf("consul at %s: certificates are set, but the address has no scheme and would use plain HTTP: "+
			"write https://%[1]s, or http:// if you mean that", withoutUser(given))
	}
	resolved.TLSConfig.InsecureSkipVerify = resolved.TLSConfig.InsecureSkipVerify || c.InsecureSkipVerify
	if files, err = c.load(resolved); err != nil {
		return nil, files, fmt.Errorf("consul at %s: %w", withoutUser(given), err)
	}
	if resolved.Scheme == "https" && resolved.TLSConfig.InsecureSkipVerify && !c.InsecureSkipVerify {
		return nil, files, fmt.Errorf("consul at %s: CONSUL_HTTP_SSL_VERIFY=%s accepts any certificate, and with that anyone may read the "+
			"token: unset it and set CONSUL_CACERT, or allow it with --insecure-skip-tls-verify", withoutUser(given),
			os.Getenv(api.HTTPSSLVerifyEnvName))
	}
	return resolved, files, nil
}

// use is what a connection is for: see Connections.
type use uint8

const (
	forReads use = iota
	forWrites
	forWaits
)

// clients are the HTTP clients of a store. They are made again when the certificates have changed.
type clients struct {
	limits Connections

	mu     sync.Mutex
	of     *http.Transport // the transport that they were made from
	byUse  [forWaits + 1]*http.Client
	closes []func() // of the connections that are not used
}

// get returns the client for a request.
func (c *clients) get(id *identity, u use) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of != id.transport {
		for _, closeIdle := range c.closes {
			closeIdle()
		}
		c.of, c.closes = id.transport, nil
		shared := c.add(id.transport.Clone())
		for use, connections := range []int{c.limits.Reads, c.limits.Writes, c.limits.Waits} {
			c.byUse[use] = shared
			if connections > 0 {
				own := id.transport.Clone()
				own.MaxConnsPerHost, own.MaxIdleConns, own.MaxIdleConnsPerHost = connections, connections, connections
				c.byUse[use] = c.add(own)
			}
		}
	}
	return c.byUse[u]
}

func (c *clients) add(t *http.Transport) *http.Client {
	c.closes = append(c.closes, t.CloseIdleConnections)
	return newClient(t)
}

func newClient(t *http.Transport) *http.Client {
	return &http.Client{Transport: tlsalert.Transport{Transport: t}, CheckRedirect: followNoRedirect}
}

// followNoRedirect returns redirects as answers. Consul's API does not redirect, and net/http would send the token, which is in a
// header that it does not know, to any other host.
func followNoRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (c Config) withDefaults() Config {
	if c.ReadTimeout <= 0 {
		c.ReadTimeout = DefaultReadTimeout
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	if c.RetryFor == 0 {
		c.RetryFor = DefaultRetryFor
	}
	return c
}

func (c Config) observe(kind, code string, received int64) {
	if c.Observe != nil {
		c.Observe(kind, code, received)
	}
}

func override(field *string, value string) {
	if value != "" {
		*field = value
	}
}

// withoutUser is an address without its user and password.
func withoutUser(address string) string {
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		scheme, rest = "", address
	} else {
		scheme += "://"
	}
	return scheme + rest[strings.LastIndex(rest, "@")+1:]
}

// MaxOps is how many operations a transaction may have: 128, or 64 after an answer has shown that the server is older than
// Consul 1.14.
func (s *Store) MaxOps() int {
	if s.old.Load() {
		return opsBefore114
	}
	return store.MaxOps
}

// Address is the address of Consul without secrets.
func (s *Store) Address() string { return s.addr }
