// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package consul is the store.Store in HashiCorp Consul.
//
// Consul's own client resolves the address, the token and TLS, so that the environment variables of `consul kv` work here too.
// This package sends the requests itself, on the connections of that client. It needs the status of a refused transaction,
// which the client drops, and a decoder that is fast enough for 100,000 keys: docs/design/decisions/0001-own-consul-requests.md.
//
// The package must not know what a key or a value means. Start reading at Store, and then request and Store.attempt.
package consul
