// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package tlsalert

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// maxWait bounds how long Transport waits for an alert, handshake included. A server that accepts the client and speaks
// HTTP/2 ends the wait at once; one that accepts it and speaks HTTP/1.1 says nothing.
const maxWait = 5 * time.Second

// Transport sends requests as http.Transport does. When a connection fails without a reason, it connects once more and
// writes nothing, so that an alert of the server cannot be lost, and returns the alert as the error.
type Transport struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.Transport.RoundTrip(request)
	if err == nil || request.URL.Scheme != "https" || hasReason(err) || t.proxied(request) {
		return response, err
	}
	ctx, cancel := context.WithTimeout(request.Context(), maxWait)
	defer cancel()
	if alert := t.listen(ctx, request); isAlert(alert) {
		return nil, alert
	}
	return nil, err
}

// hasReason reports whether the error of a connection says what is wrong: the server could not be reached, or one side
// refused the handshake.
func hasReason(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	return ok && operation.Op == "dial" || isAlert(err) || untrusted || noTLS
}

// isAlert reports whether the error is an alert of the other side.
func isAlert(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	return ok && operation.Op == "remote error"
}

// proxied reports whether the connection is one to a proxy, which listen cannot make.
func (t Transport) proxied(request *http.Request) bool {
	if t.Proxy == nil {
		return false
	}
	proxy, err := t.Proxy(request)
	return proxy != nil || err != nil
}

// listen connects to the server and returns the error of the handshake or of the first read.
func (t Transport) listen(ctx context.Context, request *http.Request) error {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.TLSClientConfig != nil {
		config = t.TLSClientConfig.Clone()
	}
	port := request.URL.Port()
	if port == "" {
		port = "443"
	}
	if config.ServerName == "" {
		config.ServerName = request.URL.Hostname()
	}
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	connection, err := dial(ctx, "tcp", net.JoinHostPort(request.URL.Hostname(), port))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })() // ends the read
	defer func() { _ = connection.Close() }()
	_, err = tls.Client(connection, config).Read(make([]byte, 1))
	return err
}
