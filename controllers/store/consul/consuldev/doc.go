// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package consuldev runs a Consul process on free ports of the loopback address, for tests and the demo.
//
// It owns the process and its configuration. It must not be used for a Consul that another process needs: Stop ends it and its data
// is deleted. Start reading at Start.
package consuldev
