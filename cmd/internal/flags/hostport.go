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

// HostPort is Consul's address as python-jiocloud's commands took it.
type HostPort struct {
	host string
	port int
}

// Bind adds --host and --port, which help does not show.
func (a *HostPort) Bind(f *pflag.FlagSet) {
	f.StringVar(&a.host, "host", "", "host of Consul, as python-jiocloud took it")
	f.IntVar(&a.port, "port", 0, "port of Consul, as python-jiocloud took it")
	_, _ = f.MarkHidden("host"), f.MarkHidden("port") // they exist
}

// Complete makes them the address of the config, if they were given. What is left out is that of Consul's agent here.
func (a *HostPort) Complete(c *consul.Config) error {
	switch {
	case a.port < 0 || a.port > 65535:
		return fmt.Errorf("--port %d: must be from 1 to 65535", a.port)
	case a.host == "" && a.port == 0:
		return nil
	case c.Address != "":
		return errors.New("--http-addr and --host/--port say the same: give one of them")
	}
	c.Address = net.JoinHostPort(cmp.Or(a.host, "127.0.0.1"), strconv.Itoa(cmp.Or(a.port, 8500)))
	return nil
}
