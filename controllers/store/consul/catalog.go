// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/jiocloud/upgrade-controller/controllers/core/fleet"
	"github.com/jiocloud/upgrade-controller/controllers/store"
)

const (
	checksPath = "/v1/health/state/any"
	nodesPath  = "/v1/catalog/nodes"
	// serversPath has the nodes of the service that every datacenter has: its servers.
	serversPath = "/v1/catalog/service/consul"
)

// filter is a parameter that lets Consul send only what the expression is true for. ACLs come before it: that something
// was hidden is told even when the expression would have left it out.
func filter(expression string) string { return "filter=" + url.QueryEscape(expression) }

// Unhealthy returns the checks that are warning or critical. They come in one read: of two, one for each status, a check
// that changes from one to the other between them could be in neither.
func (s *Store) Unhealthy(ctx context.Context) (bad []fleet.Check, meta store.Meta, err error) {
	r := catalogRequest(checksPath, needChecks(), filter(`Status != "passing"`), s.mode())
	err = s.catalog(ctx, r, &meta, func(body io.Reader) error {
		checks, err := decodeChecks(body)
		bad = store.Unhealthy(checks)
		return err
	})
	return bad, meta, err
}

// Nodes returns the names of all nodes. A catalog without any is one that ACLs hide: Consul's servers stand in it.
func (s *Store) Nodes(ctx context.Context) (names []string, meta store.Meta, err error) {
	err = s.catalog(ctx, catalogRequest(nodesPath, needNodes(), s.mode()), &meta, func(body io.Reader) (err error) {
		names, err = decodeNodes(body)
		return err
	})
	if err != nil {
		return nil, meta, err
	}
	slices.Sort(names)
	meta.Filtered = meta.Filtered || len(names) == 0
	return names, meta, nil
}

func catalogRequest(path string, needs need, query ...string) request {
	return request{method: http.MethodGet, path: path, query: query, needs: needs, accept: []int{http.StatusOK}}
}

// catalog reads what the request asks for. Without a token that takes a second read, of a few hundred bytes.
func (s *Store) catalog(ctx context.Context, r request, meta *store.Meta, decode func(io.Reader) error) error {
	err := s.read(ctx, r, func(response *http.Response) (err error) {
		if *meta, err = s.meta(response); err != nil {
			return err
		}
		return s.decodeError(decode(response.Body))
	})
	if err != nil || !s.anonymous() {
		return err
	}
	return s.lookForServers(ctx, meta)
}

// anonymous says whether requests have no token of their own: Consul does not tell them that something was hidden.
func (s *Store) anonymous() bool {
	token := s.header.Get("X-Consul-Token")
	return token == "" || token == "anonymous"
}

// lookForServers takes what was read for filtered if not even Consul's own servers can be seen.
func (s *Store) lookForServers(ctx context.Context, meta *store.Meta) error {
	return s.read(ctx, catalogRequest(serversPath, needChecks(), s.mode()), func(response *http.Response) error {
		servers, err := decodeServers(response.Body)
		meta.Filtered = meta.Filtered || servers == 0
		return s.decodeError(err)
	})
}

func needChecks() need { return need{"checks", store.ChecksPolicy} }

func needNodes() need { return need{"nodes", store.NodesPolicy} }
