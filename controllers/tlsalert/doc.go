// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tlsalert names the TLS alert with which a server refuses a client certificate.
//
// In TLS 1.3 the server checks the client certificate after the client has completed its handshake. The client may notice
// that the connection is closed before it reads the alert. Its error is then "broken pipe", or, with HTTP/2, "client conn
// could not be established", and net/http drops the alert.
//
// Start reading at Transport.
package tlsalert
