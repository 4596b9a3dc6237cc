// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package inhibit keeps the machine from shutting down while the host changes its version, by an inhibitor of systemd-logind.
package inhibit

import (
	"context"
	"io"

	"github.com/coreos/go-systemd/v22/login1"
	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
)

// AcquireFunc takes an inhibitor, which stands until it is closed.
type AcquireFunc func(why string) (io.Closer, error)

// Logind takes one of systemd-logind, on the system bus.
func Logind(why string) (io.Closer, error) {
	connection, err := login1.New()
	if err != nil {
		return nil, err
	}
	defer connection.Close() // the inhibitor is a file of its own
	return connection.Inhibit("shutdown", "upgrade-agent", why, "block")
}

// WithInhibitor is a step around which an inhibitor is held. Without one the step is run all the same, and the first failure to take one
// is logged.
func WithInhibitor(step agent.Step, take AcquireFunc, log logr.Logger) agent.Step {
	told := false
	return func(ctx context.Context, c agent.Change) (string, error) {
		lock, err := take("changing the version to " + c.To)
		if err != nil && !told {
			log.Error(err, "shutting down cannot be inhibited while a step runs")
			told = true
		}
		if err == nil {
			defer lock.Close()
		}
		return step(ctx, c)
	}
}
