// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/jiocloud/upgrade-controller/cmd/internal/flags"
	"github.com/jiocloud/upgrade-controller/controllers/gitsync"
	"github.com/jiocloud/upgrade-controller/controllers/manager"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// The flags of addresses, and the address that disables one.
const (
	healthFlag    = "health-probe-bind-address"
	metricsFlag   = "metrics-bind-address"
	dashboardFlag = "dashboard-bind-address"
	webhookFlag   = "webhook-bind-address"
	off           = "0"
)

// options are the flags.
type options struct {
	file           string
	consul         consul.Config
	log            flags.Log
	minGap, resync time.Duration
	bindAddress    bindAddresses
	serving        serving
	// source is the source that flags define. sources are all sources once the options are complete.
	source  gitsync.Source
	sources []gitsync.Source
}

// bindAddresses are the addresses of the HTTP endpoints, host:port or off.
type bindAddresses struct{ health, metrics, dashboard, webhook string }

func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.file, "config", "", "file of kind ControllerConfig; flags take precedence")
	flags.BindConsul(f, &o.consul)
	flags.BindLogin(f, &o.consul.Login)
	o.log.Bind(f)
	f.DurationVar(&o.minGap, "min-gap", manager.DefaultMinInterval,
		"minimum interval between two reads of a busy tree of keys; short bursts are allowed")
	f.DurationVar(&o.resync, "resync", manager.DefaultResync, "approximate interval of full reads")
	f.StringVar(&o.bindAddress.health, healthFlag, "127.0.0.1:8081", "address for /healthz and /readyz, host:port; 0 disables it")
	f.StringVar(&o.bindAddress.metrics, metricsFlag, "127.0.0.1:8080",
		"address for /metrics, host:port, which may be that of the health probes; 0 disables it")
	bindDashboardAddress(f, &o.bindAddress.dashboard, "; 0 disables it")
	f.StringVar(&o.bindAddress.webhook, webhookFlag, off, "address for webhooks of sources at /hook/SOURCE, host:port; 0 disables it")
	o.serving.bind(f)
	bindSource(f, &o.source)
}

func bindDashboardAddress(f *pflag.FlagSet, address *string, more string) {
	f.StringVar(address, dashboardFlag, "127.0.0.1:8082", "address for the dashboard, host:port"+more)
}

// complete reads the file, and checks all values.
func (o *options) complete(f *pflag.FlagSet) error {
	if o.file != "" {
		c, err := load(o.file, f)
		if err != nil {
			return err
		}
		o.sources = c.Sources
	}
	if err := errors.Join(check(f), o.serving.check()); err != nil {
		return err
	}
	var err error
	o.sources, err = addSource(o.sources, o.source)
	return err
}

// check returns an error for each flag with an invalid value.
func check(f *pflag.FlagSet) error {
	var errs []error
	validators := validators()
	f.VisitAll(func(flag *pflag.Flag) {
		if validate := validators[flag.Name]; validate != nil {
			if err := validate(flag.Value.String()); err != nil {
				errs = append(errs, fmt.Errorf("--%s %s: %w", flag.Name, flag.Value, err))
			}
		}
	})
	return errors.Join(errs...)
}

// validators returns the checks of flags by name. They also check the fields of the file that set these flags.
func validators() map[string]func(value string) error {
	return map[string]func(string) error{
		"http-addr":      checkConsulAddress,
		"log-format":     flags.CheckFormat,
		"verbosity":      checkVerbosity,
		"min-gap":        checkDuration,
		"resync":         checkDuration,
		healthFlag:       checkBindAddress,
		metricsFlag:      checkBindAddress,
		dashboardFlag:    checkBindAddress,
		webhookFlag:      checkBindAddress,
		allowedHostsFlag: checkAllowedHosts,
		connectionsFlag:  checkConnections,
	}
}

func checkDuration(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d <= 0 {
		return errors.New("must be a duration above 0 such as 500ms, 1s or 5m")
	}
	return nil
}

func checkVerbosity(value string) error {
	v, err := strconv.Atoi(value)
	if err != nil {
		return err
	}
	return flags.CheckVerbosity(v)
}

func checkBindAddress(value string) error {
	if value == off {
		return nil
	}
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("must be host:port with a numeric port, :port for all addresses of this machine, or 0 to disable it")
	}
	return nil
}

func checkConsulAddress(value string) error {
	scheme, rest, found := strings.Cut(value, "://")
	if found && (rest == "" || !slices.Contains([]string{"http", "https", "unix"}, scheme)) {
		return errors.New("must be host:port, http://…, https://… or unix:///path")
	}
	return nil
}
