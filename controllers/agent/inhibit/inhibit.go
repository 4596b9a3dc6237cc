// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package inhibit

import (
	"context"
	"io"

	"github.com/coreos/go-systemd/v22/login1"
	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/agent"
)

// AcquireFunc takes an inhibitor lock. Closing it releases the lock.
type AcquireFunc func(why string) (io.Closer, error)

// Logind takes a lock of systemd-logind on the system bus.
func Logind(why string) (io.Closer, error) {
	connection, err := login1.New()
	if err != nil {
		return nil, err
	}
	defer connection.Close() // the lock is a file descriptor of its own
	return connection.Inhibit("shutdown", "upgrade-agent", why, "block")
}

// WithInhibitor returns a step that holds an inhibitor lock while step runs. If the lock cannot be taken, the step runs without
// it, and the first failure is logged.
func WithInhibitor(step agent.Step, acquire AcquireFunc, log logr.Logger) agent.Step {
	logged := false
	return func(ctx context.Context, c agent.Change) (string, error) {
		lock, err := acquire("changing the version to " + c.To)
		if err != nil && !logged {
			log.Error(err, "cannot inhibit shutdown; running the step without a lock")
			logged = true
		}
		if err == nil {
			defer lock.Close()
		}
		return step(ctx, c)
	}
}
