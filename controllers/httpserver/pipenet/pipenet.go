// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pipenet is a network in memory, for tests of servers with a fake clock. In a bubble of testing/synctest, a goroutine
// that waits for one of its connections is durably blocked. So time passes only when all clients and servers wait.
package pipenet

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Network connects its clients and listeners. The zero value has no listeners.
type Network struct {
	mu        sync.Mutex
	last      int // the last port
	listeners map[string]*listener
}

// Listen returns a listener at the next port of 127.0.0.1.
func (n *Network) Listen() net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	l := &listener{address: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: n.last}, conns: make(chan net.Conn),
		closed: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	n.listeners[l.address.String()] = l
	return l
}

// DialContext connects to a listener of the network. Every client has the address 127.0.0.1 and a port of its own.
func (n *Network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.last++
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: n.last}
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	client, server := net.Pipe()
	select {
	case l.conns <- conn{server, l.address, from}:
		return conn{client, from, l.address}, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	address *net.TCPAddr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.address }

// conn is one end of a pipe, with addresses of TCP.
type conn struct {
	net.Conn
	local, remote net.Addr
}

// LocalAddr implements net.Conn.
func (c conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c conn) RemoteAddr() net.Addr { return c.remote }
