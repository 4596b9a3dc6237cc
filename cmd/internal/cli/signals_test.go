// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
)

// The tests send signals to their own process, so they do not run in parallel.

func TestNotifyContext_EndsAtSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			guard := make(chan os.Signal, 1) // without it, a signal that the context does not take would end the test
			signal.Notify(guard, s)
			defer signal.Stop(guard)
			ctx, stop := cli.NotifyContext(t.Context())
			defer stop()
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			<-guard
			<-ctx.Done()
		})
	}
}

func TestNotifyContext_LeavesAnIgnoredHangup(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	_, stop := cli.NotifyContext(t.Context())
	defer stop()
	if !signal.Ignored(syscall.SIGHUP) {
		t.Error("SIGHUP is not ignored any more")
	}
}
