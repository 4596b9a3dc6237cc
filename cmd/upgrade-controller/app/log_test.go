// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// talkative answers each request twice, and returns its address. A client of net/http logs the second answer by the standard logger.
func talkative(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for in := bufio.NewReader(conn); ; {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					const answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
					if _, err := fmt.Fprint(conn, answer+answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// What the standard library logs is in the format of the controller's own log, too.
func TestLog_IsJSONInEachLine(t *testing.T) {
	t.Parallel()
	b := &bench{T: t}
	p := b.start(build(t), nil, "--http-addr", talkative(t), "--log-format", "json", "--health-probe-bind-address", "0",
		"--metrics-bind-address", "0", "--dashboard-bind-address", "0")
	eventually(t, "a line of net/http", p.has("Unsolicited response"))
	for line := range strings.Lines(p.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}
