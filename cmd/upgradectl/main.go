// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"

	"github.com/jiocloud/upgrade-controller/cmd/internal/cli"
	"github.com/jiocloud/upgrade-controller/cmd/upgradectl/app"
)

func main() {
	ctx, stop := cli.NotifyContext(context.Background())
	code := app.Main(ctx, os.Args[1:], app.SystemOptions())
	stop()
	os.Exit(code)
}
