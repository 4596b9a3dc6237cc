// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedule parses the fields of a maintenance window: cron schedule, duration and time zone. Whether a window is
// open is the task of controllers/core/maintenance. Start reading at Parse.
package schedule
