// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package httpserver starts the HTTP servers of all listeners: with a check of the Host header, timeouts, limits on connections,
// and optional TLS and authentication.
package httpserver
