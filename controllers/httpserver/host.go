// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// checkHost answers 421 to a request whose Host header names another server. After DNS rebinding the browser of a victim sends
// such requests: the name is the attacker's, and the address is ours.
func checkHost(allowed []string, next http.Handler) http.Handler {
	names := map[string]bool{"localhost": true}
	for _, host := range allowed {
		names[normalHost(host)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := normalHost(withoutPort(r.Host))
		if !names[host] && !isLocal(host, r) {
			http.Error(w, fmt.Sprintf("host %q is not served here: allow it with --allowed-hosts", r.Host), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLocal reports whether the host is the IP address that the client is connected to.
func isLocal(host string, r *http.Request) bool {
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	local, known := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return known && address.WithZone("").Unmap() == local.AddrPort().Addr().WithZone("").Unmap()
}

// withoutPort removes the port and the brackets of an IPv6 address.
func withoutPort(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostPort, "["), "]")
}

func normalHost(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// CheckAllowedHost refuses an entry of Options.AllowedHosts that no client can send.
func CheckAllowedHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if len(validation.IsDNS1123Subdomain(normalHost(host))) > 0 {
		return errors.New("must be a DNS name or an IP address, without scheme and port")
	}
	return nil
}
