// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics exports what a controller does to Prometheus.
//
// A plan or a source has series while this process leads and the plan exists. A standby exports none of them, and counters begin
// again with each term of leadership. A plan has about thirty series, and seven more for each of its roles. No series has the name
// of a host. The package decides nothing. Start reading at New.
package metrics
