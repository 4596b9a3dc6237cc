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

// The flags of addresses, and the address that turns one off.
const (
	healthFlag  = "health-probe-bind-address"
	metricsFlag = "metrics-bind-address"
	// dashboardFlag says where pages for people are served.
	dashboardFlag = "dashboard-bind-address"
	off           = "0"
)

// options are the flags.
type options struct {
	file            string
	consul          consul.Config
	log             flags.Log
	minGap, resync  time.Duration
	health, metrics string
	dashboard       string
	webhook         string
	// source is the one of the flags, and sources are all of them, once they are complete.
	source  gitsync.Source
	sources []gitsync.Source
}

func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.file, "config", "", "file that says what other flags say too, YAML; what is given as a flag goes before it")
	flags.BindConsul(f, &o.consul)
	o.log.Bind(f)
	f.DurationVar(&o.minGap, "min-gap", manager.DefaultMinGap,
		"least time between two looks at a tree of keys that changes all the time; two may follow each other at once")
	f.DurationVar(&o.resync, "resync", manager.DefaultResync, "about how often all is looked at though nothing changes")
	f.StringVar(&o.health, healthFlag, "127.0.0.1:8081", "where /healthz and /readyz are served, host:port; 0: nowhere")
	f.StringVar(&o.metrics, metricsFlag, "127.0.0.1:8080",
		"where /metrics is served for Prometheus, host:port, also that of the health probes; 0: nowhere")
	f.StringVar(&o.dashboard, dashboardFlag, "127.0.0.1:8082",
		"where pages that show the plans and their hosts are served, host:port; whoever reaches them sees all; 0: nowhere")
	f.StringVar(&o.webhook, webhookFlag, off, "where webhooks of sources are taken at /hook/SOURCE, host:port; 0: nowhere")
	bindSource(f, &o.source)
}

// check says which flag may not have the value that it has.
func check(f *pflag.FlagSet) error {
	var errs []error
	rules := rules()
	f.VisitAll(func(flag *pflag.Flag) {
		if rule := rules[flag.Name]; rule != nil {
			if err := rule(flag.Value.String()); err != nil {
				errs = append(errs, fmt.Errorf("--%s %s: %w", flag.Name, flag.Value, err))
			}
		}
	})
	return errors.Join(errs...)
}

// rules say what a flag may be, and so the field of the file that stands for it; those that are not named may be anything.
func rules() map[string]func(value string) error {
	return map[string]func(string) error{
		"http-addr":   checkConsulAddress,
		"log-format":  flags.CheckFormat,
		"verbosity":   checkVerbosity,
		"min-gap":     checkDuration,
		"resync":      checkDuration,
		healthFlag:    checkBindAddress,
		metricsFlag:   checkBindAddress,
		dashboardFlag: checkBindAddress,
		webhookFlag:   checkBindAddress,
	}
}

func checkDuration(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d <= 0 {
		return errors.New("must be a duration above 0, as 500ms, 1s or 5m")
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
		return errors.New("must be host:port with a number, :port for all addresses of this machine, or 0 for none")
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
