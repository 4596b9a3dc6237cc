// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/controllers/httpserver"
)

// The flags of all HTTP endpoints.
const (
	allowedHostsFlag = "allowed-hosts"
	certFlag         = "serving-cert"
	keyFlag          = "serving-key"
	clientCAFlag     = "serving-client-ca"
	tokenFlag        = "serving-token-file"
	connectionsFlag  = "serving-connections-per-address"
)

// serving are the options of all HTTP endpoints.
type serving struct {
	allowedHosts []string
	access       httpserver.Access
	connections  int
}

func (s *serving) bind(f *pflag.FlagSet) {
	f.StringSliceVar(&s.allowedHosts, allowedHostsFlag, nil, "names that clients may use in the Host header, in addition to "+
		"localhost and the IP address that they connect to")
	f.StringVar(&s.access.CertFile, certFlag, "", "certificate, PEM: serve TLS on all addresses except loopback")
	f.StringVar(&s.access.KeyFile, keyFlag, "", "key of --"+certFlag+", PEM")
	f.StringVar(&s.access.ClientCAFile, clientCAFlag, "", "CA certificate, PEM: require client certificates for metrics and the "+
		"dashboard on all addresses except loopback")
	f.StringVar(&s.access.TokenFile, tokenFlag, "", "file with a bearer token: require it for metrics and the dashboard on all "+
		"addresses except loopback; with --"+clientCAFlag+", one of both")
	f.IntVar(&s.connections, connectionsFlag, httpserver.DefaultLimits().ConnectionsPerAddress,
		"maximum of open connections of one client address at each endpoint")
}

// check returns an error for files that cannot be used.
func (s *serving) check() error {
	if err := s.access.Check(); err != nil {
		return fmt.Errorf("--%s, --%s, --%s, --%s: %w", certFlag, keyFlag, clientCAFlag, tokenFlag, err)
	}
	return nil
}

// checkAllowedHosts checks names that commas separate. A flag prints them in brackets.
func checkAllowedHosts(value string) error {
	for host := range strings.SplitSeq(strings.Trim(value, "[]"), ",") {
		if err := httpserver.CheckAllowedHost(host); host != "" && err != nil {
			return fmt.Errorf("%q %w", host, err)
		}
	}
	return nil
}

func checkConnections(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 1 {
		return errors.New("must be at least 1")
	}
	return nil
}

// server returns the options of a server.
func (s *serving) server(log logr.Logger) httpserver.Options {
	return httpserver.Options{AllowedHosts: s.allowedHosts, Access: s.access, Log: log,
		Limits: httpserver.Limits{ConnectionsPerAddress: s.connections}}
}
