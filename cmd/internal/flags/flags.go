// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package flags

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
)

// BindConsul adds the flags that select a Consul. They are named as those of Consul's own CLI.
func BindConsul(f *pflag.FlagSet, c *consul.Config) {
	f.StringVar(&c.Address, "http-addr", "", "address of Consul (default $CONSUL_HTTP_ADDR, else 127.0.0.1:8500)")
	f.StringVar(&c.Token, "token", "", "ACL token (default $CONSUL_HTTP_TOKEN)")
	f.StringVar(&c.TokenFile, "token-file", "", "file with the ACL token (default $CONSUL_HTTP_TOKEN_FILE)")
	f.StringVar(&c.CAFile, "ca-file", "", "CA certificate, PEM (default $CONSUL_CACERT)")
	f.StringVar(&c.ClientCert, "client-cert", "", "client certificate, PEM (default $CONSUL_CLIENT_CERT)")
	f.StringVar(&c.ClientKey, "client-key", "", "key of the client certificate, PEM (default $CONSUL_CLIENT_KEY)")
	f.BoolVar(&c.InsecureSkipVerify, "insecure-skip-tls-verify", false,
		"accept any certificate of Consul: anyone on the network may then read the token")
	f.StringVar(&c.Datacenter, "datacenter", "", "datacenter (default: that of the Consul agent)")
	f.StringVar(&c.Namespace, "namespace", "", "namespace of Consul Enterprise (default $CONSUL_NAMESPACE)")
}

// BindLogin adds the flags that select an auth method of Consul.
func BindLogin(f *pflag.FlagSet, l *consul.Login) {
	f.StringVar(&l.AuthMethod, "login-auth-method", "", "auth method of Consul, of type jwt or kubernetes: log in with "+
		"--login-bearer-token-file and use the token of the login")
	f.StringVar(&l.BearerTokenFile, "login-bearer-token-file", "", "file with the JWT for --login-auth-method (default "+
		consul.DefaultBearerTokenFile+")")
}

// Log holds the flags that say how a process logs.
type Log struct {
	// Format is console or json.
	Format string
	// Verbosity 0 logs changes, 1 each step.
	Verbosity int
}

// Bind adds --log-format and -v.
func (l *Log) Bind(f *pflag.FlagSet) {
	f.StringVar(&l.Format, "log-format", "console", "console or json")
	f.IntVarP(&l.Verbosity, "verbosity", "v", 0, "log level: 0 logs changes, 1 logs each step")
}

// CheckFormat refuses a log format that does not exist.
func CheckFormat(format string) error {
	if format != "console" && format != "json" {
		return errors.New("must be console or json")
	}
	return nil
}

// CheckVerbosity refuses a verbosity out of range.
func CheckVerbosity(verbosity int) error {
	if verbosity < 0 || verbosity > 9 {
		return errors.New("must be from 0 to 9")
	}
	return nil
}

// Logger returns a logger that writes to w. It refuses an unknown format and a negative verbosity.
func (l *Log) Logger(w io.Writer) (logr.Logger, error) {
	if err := CheckFormat(l.Format); err != nil {
		return logr.Discard(), fmt.Errorf("--log-format %q: %w", l.Format, err)
	}
	if err := CheckVerbosity(l.Verbosity); err != nil {
		return logr.Discard(), fmt.Errorf("--verbosity %d: %w", l.Verbosity, err)
	}
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339TimeEncoder
	encoder := zapcore.NewJSONEncoder(config)
	if l.Format == "console" {
		config.ConsoleSeparator = " "
		encoder = zapcore.NewConsoleEncoder(config)
	}
	level := zapcore.Level(-l.Verbosity) // zap counts more verbose levels downwards
	return zapr.NewLogger(zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level))), nil
}

// RedirectStandardLog sends what the standard logger prints to log until restore is called. Of the libraries, net/http uses it.
func RedirectStandardLog(log logr.Logger) (restore func()) {
	sink, ok := log.GetSink().(zapr.Underlier)
	if !ok {
		return func() {}
	}
	return zap.RedirectStdLog(sink.GetUnderlying())
}
