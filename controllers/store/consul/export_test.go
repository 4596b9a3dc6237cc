// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"net"
)

// Dial replaces how the store connects. Call it before the first request.
func (s *Store) Dial(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	s.credentials.current.transport.DialContext = dial
}
