// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package describe turns an assessment into facts about a plan, a host or a role, for the commands and the dashboard.
//
// It owns the names and texts of these facts. It must not decide anything, and must not read a sentence back: values come from
// verdicts and blockers. Start reading at Plan and Hosts.
package describe
