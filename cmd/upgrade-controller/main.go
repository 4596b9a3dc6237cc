// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command upgrade-controller reconciles all plans of a Consul until it is told to stop.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/jiocloud/upgrade-controller/cmd/upgrade-controller/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
