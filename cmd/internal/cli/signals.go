// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// NotifyContext returns a context that ends at a signal to stop: SIGINT, SIGTERM, or SIGHUP, which a terminal sends
// when it is closed. A process that started with SIGHUP ignored, as nohup starts it, goes on.
func NotifyContext(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signal.NotifyContext(parent, signals...)
}
