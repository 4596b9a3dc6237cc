// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"
)

// Inspector is a store that describes its servers, and the rights of the token in use. It writes nothing.
type Inspector interface {
	// Leader returns the address of the server that leads. Empty means none.
	Leader(ctx context.Context) (string, error)
	// Clock returns the time of the server, in whole seconds.
	Clock(ctx context.Context) (time.Time, error)
	// Servers returns the servers that the token may see.
	Servers(ctx context.Context) ([]Server, error)
	// Agent describes the process that answers. It is a *ForbiddenError without permission to read that.
	Agent(ctx context.Context) (AgentInfo, error)
	// Authorize returns which accesses the token has, in their order. Nil without an error means that ACLs are disabled.
	Authorize(ctx context.Context, accesses []Access) ([]bool, error)
}

// Server is a server of the store, and its version. An empty version is unknown.
type Server struct{ Name, Version string }

// AgentInfo describes a Consul agent. A limit of 0 is unknown.
type AgentInfo struct {
	Node, Version string
	// MaxValue is the largest value of a key, and MaxTxn the largest transaction, in bytes.
	MaxValue, MaxTxn int64
}

// Access is an access to a resource, as Consul's ACLs name them: key, node, service or session; read, list, write or write-prefix.
type Access struct{ Resource, Segment, Access string }
