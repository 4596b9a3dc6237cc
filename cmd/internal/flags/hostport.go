// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package flags

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// HostPort holds the flags --host and --port, by which python-jiocloud's commands took the address of Consul.
type HostPort struct {
	host string
	port int
}

// Bind adds --host and --port, hidden from help.
func (a *HostPort) Bind(f *pflag.FlagSet) {
	f.StringVar(&a.host, "host", "", "host of Consul, an alternative to --http-addr")
	f.IntVar(&a.port, "port", 0, "port of Consul, an alternative to --http-addr")
	_, _ = f.MarkHidden("host"), f.MarkHidden("port") // they exist
}

// Complete sets the address of the config from the flags, if either is given. The default is Consul's agent on this host.
func (a *HostPort) Complete(c *consul.Config) error {
	switch {
	case a.port < 0 || a.port > 65535:
		return fmt.Errorf("--port %d: must be from 1 to 65535", a.port)
	case a.host == "" && a.port == 0:
		return nil
	case c.Address != "":
		return errors.New("--http-addr cannot be combined with --host or --port")
	}
	c.Address = net.JoinHostPort(cmp.Or(a.host, "127.0.0.1"), strconv.Itoa(cmp.Or(a.port, 8500)))
	return nil
}
