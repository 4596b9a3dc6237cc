// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package consultest gives tests a real Consul, and a proxy before it that checks each write.
//
// It owns the tokens of tests and the proxy. Production code must not import it. Start reading at Start and StartProxy.
package consultest
