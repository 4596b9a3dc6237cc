// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Command upgrade-controller reconciles all plans of a Consul until it is told to stop.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/jiocloud/upgrade-controller/cmd/upgrade-controller/app"
)

// collectAt is the percentage by which the heap may grow before what is not used any more is collected. A look at a whole
// fleet is most of what there ever is in memory, and soon over: Go's 100 would keep as much again for nothing.
const collectAt = 30

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
