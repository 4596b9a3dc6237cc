// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package consul is the store.Store that keeps everything in HashiCorp Consul.
//
// Where it is and who asks is resolved by Consul's own client, so that the environment variables of `consul kv` hold
// here too. Requests are made on that client's connections, but by this package: it needs the status of a refused
// transaction, which the client drops, and a decoder that keeps up with 100,000 keys, which the client has not.
package consul

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The defaults of Config.
const (
	DefaultReadTimeout  = 30 * time.Second
	DefaultWriteTimeout = 10 * time.Second
	DefaultRetryFor     = 5 * time.Second
)

// readBuffer is the size of a connection's read buffer: the replies that matter are of many megabytes.
const readBuffer = 256 << 10

// opsBefore114 is how many operations a transaction may have on a Consul before 1.14.
const opsBefore114 = 64

// Config says which Consul is meant. What is empty is taken from Consul's own environment variables (CONSUL_HTTP_ADDR,
// CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_SSL, CONSUL_CACERT, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY,
// CONSUL_NAMESPACE, …), else its defaults.
type Config struct {
	// Address is host:port, http://…, https://… or unix:///path.
	Address string
	// Token is the ACL token. TokenFile, which holds one, goes before it.
	Token, TokenFile string
	// CAFile, ClientCert and ClientKey are PEM files for TLS.
	CAFile, ClientCert, ClientKey string
	// Datacenter and Namespace are those of the agent and the token when empty.
	Datacenter, Namespace string

	// Stale lets any server answer reads, even one that is behind (hosts read so: whether what they saw still holds is
	// checked by the transaction that acts on it). Without it reads are consistent.
	Stale bool

	// ReadTimeout bounds one attempt to read, WriteTimeout a write or a session's renewal. 0: the defaults.
	ReadTimeout, WriteTimeout time.Duration
	// RetryFor is how long a read is tried again while Consul does not answer, has no leader or is overloaded. 0: the
	// default; negative: not at all. Writes are never tried again, since they may have been applied.
	RetryFor time.Duration

	// Observe is told of every request when it has ended, by several goroutines at once. Kind is list (the pairs below a
	// prefix), keys (their names), get, txn, wait (for a change) or session; code is the status of the answer, NoAnswer
	// or Ended; received are the bytes of the answer's body as they came over the wire. Nil: nobody is told.
	Observe func(kind, code string, received int64)
}

// What Config.Observe is told in the place of a status.
const (
	// NoAnswer: none came, or not all of it.
	NoAnswer = "none"
	// Ended: the caller ended the request, which says nothing about Consul.
	Ended = "ended"
)

// Store is a store.Store in Consul, safe for concurrent use.
//
// A read takes at most RetryFor and one ReadTimeout, a write one WriteTimeout. A write that ends by the end of the
// context, or by store.Unavailable, may or may not have been applied.
type Store struct {
	config Config
	client *http.Client
	base   url.URL // scheme, host and path before /v1
	params url.Values
	header http.Header
	addr   string // as the user knows it, without secrets
	hide   *strings.Replacer

	// old is true once the server has shown to be older than 1.14.
	old atomic.Bool
}

var _ store.Store = (*Store)(nil)

// New makes a store. It reads the files that the config and the environment name; nothing is sent.
func New(c Config) (*Store, error) {
	resolved := api.DefaultConfig()
	override(&resolved.Address, c.Address)
	override(&resolved.Token, c.Token)
	override(&resolved.TokenFile, c.TokenFile)
	override(&resolved.TLSConfig.CAFile, c.CAFile)
	override(&resolved.TLSConfig.CertFile, c.ClientCert)
	override(&resolved.TLSConfig.KeyFile, c.ClientKey)
	override(&resolved.Datacenter, c.Datacenter)
	override(&resolved.Namespace, c.Namespace)
	resolved.Transport.ReadBufferSize = readBuffer
	given := resolved.Address
	tls := resolved.TLSConfig
	if !strings.Contains(given, "://") && resolved.Scheme == "http" && tls.CAFile+tls.CAPath+tls.CertFile != "" {
		return nil, fmt.Errorf("consul at %s: certificates are given, and the address would be spoken to in the clear: "+
			"write https://%[1]s (or http://, if that is meant)", withoutUser(given))
	}
	if _, err := api.NewClient(resolved); err != nil { // fills in the rest of resolved
		return nil, fmt.Errorf("consul at %s: %w", withoutUser(given), err)
	}
	s := &Store{config: c.withDefaults(), client: resolved.HttpClient, addr: withoutUser(given), header: http.Header{},
		base: url.URL{Scheme: resolved.Scheme, Host: resolved.Address, Path: resolved.PathPrefix}, params: url.Values{}}
	if strings.HasPrefix(s.base.Host, "/") {
		s.base.Host = "localhost" // a unix socket: the connection is made by the client, the name is not used
	}
	for name, value := range map[string]string{"dc": resolved.Datacenter, "ns": resolved.Namespace,
		"partition": resolved.Partition} {
		if value != "" {
			s.params.Set(name, value)
		}
	}
	s.authorize(resolved)
	return s, nil
}

// authorize sets the headers that say who asks, and remembers the secrets in them.
func (s *Store) authorize(c *api.Config) {
	var secrets []string
	if c.Token != "" {
		s.header.Set("X-Consul-Token", c.Token)
		secrets = append(secrets, c.Token, "<token>")
	}
	if c.HttpAuth != nil {
		request := http.Request{Header: s.header}
		request.SetBasicAuth(c.HttpAuth.Username, c.HttpAuth.Password)
		if c.HttpAuth.Password != "" {
			secrets = append(secrets, c.HttpAuth.Password, "<password>")
		}
	}
	s.hide = strings.NewReplacer(secrets...)
}

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

// withoutUser is an address without the user and password that may stand in it.
func withoutUser(address string) string {
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		scheme, rest = "", address
	} else {
		scheme += "://"
	}
	return scheme + rest[strings.LastIndex(rest, "@")+1:]
}

// MaxOps is how many operations a transaction may have: 128, and 64 once a read has shown that the server is older than
// Consul 1.14.
func (s *Store) MaxOps() int {
	if s.old.Load() {
		return opsBefore114
	}
	return store.MaxOps
}

// Address is where Consul is, without secrets.
func (s *Store) Address() string { return s.addr }
