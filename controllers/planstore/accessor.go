// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package planstore

import (
	"context"
	"time"
)

// accessorTimeout is how long an order waits for the accessor of its token. An order to stop must not wait long.
const accessorTimeout = 500 * time.Millisecond

// tokenReader is a store that knows the accessor of the token with which it writes.
type tokenReader interface {
	Accessor(context.Context) (string, error)
}

// accessor returns the accessor ID of the token with which a store writes. Empty means unknown: an order is given without it.
func accessor(ctx context.Context, s Store) string {
	reader, ok := s.(tokenReader)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, accessorTimeout)
	defer cancel()
	id, err := reader.Accessor(ctx)
	if err != nil {
		return ""
	}
	return id
}
