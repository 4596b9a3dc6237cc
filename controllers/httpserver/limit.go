// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// network returns the IPv4 address or the IPv6 /64 network of a remote address, ip:port. A client usually has a whole /64. An
// address of another form is the zero value.
func network(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address := at.Addr().WithZone("").Unmap()
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // the number of bits is valid
	return prefix
}

// perAddress closes connections of an address that has too many.
type perAddress struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// Accept returns the next connection of an address that may have one more.
func (l *perAddress) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := network(c.RemoteAddr().String())
		if l.add(from) {
			return &countedConn{c, sync.OnceFunc(func() { l.remove(from) })}, nil
		}
		_ = c.Close() // nothing was sent
	}
}

func (l *perAddress) add(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++
	return true
}

func (l *perAddress) remove(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] <= 0 {
		delete(l.open, from)
	}
}

// countedConn is a connection that counts until it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

// Close closes the connection.
func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// maxRates limits the addresses that a RateByAddress remembers.
const maxRates = 4096

// RateByAddress limits events by remote address: an IPv4 address or an IPv6 /64 network. It remembers a bounded number of them.
type RateByAddress struct {
	limit rate.Limit
	burst int

	mu    sync.Mutex
	rates *lru.Cache
}

// NewRateByAddress allows each address limit events per second, and bursts.
func NewRateByAddress(limit rate.Limit, burst int) *RateByAddress {
	return &RateByAddress{limit: limit, burst: burst, rates: lru.New(maxRates)}
}

// Allow counts an event of a remote address, ip:port, and reports whether the address is within its limit.
func (r *RateByAddress) Allow(now time.Time, remote string) bool {
	return r.limiter(remote).AllowN(now, 1)
}

// Exhausted reports, without counting an event, whether the next one of an address exceeds its limit.
func (r *RateByAddress) Exhausted(now time.Time, remote string) bool {
	return r.limiter(remote).TokensAt(now) < 1
}

func (r *RateByAddress) limiter(remote string) *rate.Limiter {
	from := network(remote)
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, found := r.rates.Get(from); found {
		if limiter, ok := known.(*rate.Limiter); ok {
			return limiter
		}
	}
	limiter := rate.NewLimiter(r.limit, r.burst)
	r.rates.Add(from, limiter)
	return limiter
}
