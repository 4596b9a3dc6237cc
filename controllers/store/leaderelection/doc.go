// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package leaderelection elects the leader by a lock in the store, held by a session that its holder renews.
//
// It owns the value that is stored in the lock, and ErrLost. A holder may believe that it leads when it does not (after a
// pause of the process, say), so it begins each of its transactions with Lease.Fence. Start reading at Acquire.
//
// client-go's leaderelection has no fence, and the Lock of Consul's api package renews a session that it does not show; both
// know one store only.
package leaderelection
