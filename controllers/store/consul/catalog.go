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
	// serversPath lists the Consul servers, a service that every datacenter has.
	serversPath = "/v1/catalog/service/consul"
)

// filter is a parameter that makes Consul send only the elements for which the expression is true. Consul applies ACLs first, so
// it reports filtering by ACLs also for elements that the expression leaves out.
func filter(expression string) string { return "filter=" + url.QueryEscape(expression) }

// Unhealthy returns the warning and critical checks. One read returns both: with a read for each status, a check that changes from
// one to the other in between could be in neither.
func (s *Store) Unhealthy(ctx context.Context) (bad []fleet.Check, meta store.Meta, err error) {
	r := catalogRequest(checksPath, needChecks(), filter(`Status != "passing"`), s.mode())
	err = s.catalog(ctx, r, &meta, func(body io.Reader) error {
		checks, err := decodeChecks(body)
		bad = store.Unhealthy(checks)
		return err
	})
	return bad, meta, err
}

// Nodes returns the names of all nodes. The catalog always has Consul's servers, so an empty one is hidden by ACLs.
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

// catalog sends a request to the catalog. Without a token it also sends a second one, of a few hundred bytes.
func (s *Store) catalog(ctx context.Context, r request, meta *store.Meta, decode func(io.Reader) error) error {
	err := s.read(ctx, r, func(response *http.Response) (err error) {
		if *meta, err = s.meta(response); err != nil {
			return err
		}
		return s.decodeError(r.needs.key, decode(response.Body))
	})
	if err != nil || !s.anonymous() {
		return err
	}
	return s.detectFiltering(ctx, meta)
}

// anonymous says whether requests have no token of their own. Consul does not tell those that it filtered an answer.
func (s *Store) anonymous() bool {
	token := s.credentials.get().token
	return token == "" || token == "anonymous"
}

// detectFiltering sets meta.Filtered if not even Consul's own servers are visible.
func (s *Store) detectFiltering(ctx context.Context, meta *store.Meta) error {
	return s.read(ctx, catalogRequest(serversPath, needChecks(), s.mode()), func(response *http.Response) error {
		servers, err := decodeServers(response.Body)
		meta.Filtered = meta.Filtered || servers == 0
		return s.decodeError("servers", err)
	})
}

func needChecks() need { return need{"checks", store.ChecksPolicy} }

func needNodes() need { return need{"nodes", store.NodesPolicy} }
