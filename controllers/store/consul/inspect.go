// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

var _ store.Inspector = (*Store)(nil)

// maxAuthorize is how many accesses Consul checks in one request.
const maxAuthorize = 64

// Clock returns the time of the Consul agent by the header Date of an answer.
func (s *Store) Clock(ctx context.Context) (at time.Time, err error) {
	r := request{method: http.MethodGet, path: "/v1/status/leader", accept: []int{http.StatusOK}}
	err = s.read(ctx, r, func(response *http.Response) (err error) {
		at, err = http.ParseTime(response.Header.Get("Date"))
		if err != nil {
			return fmt.Errorf("consul at %s: the answer has no date", s.addr)
		}
		return nil
	})
	return at, err
}

// Servers returns the servers by the catalog, which names their versions.
func (s *Store) Servers(ctx context.Context) ([]store.Server, error) {
	var found []struct {
		Node        string
		ServiceMeta map[string]string
	}
	err := s.readJSON(ctx, request{method: http.MethodGet, path: "/v1/catalog/service/consul",
		needs: need{"the service consul", `service "consul" { policy = "read" }`}}, &found)
	servers := make([]store.Server, 0, len(found))
	for _, f := range found {
		servers = append(servers, store.Server{Name: f.Node, Version: f.ServiceMeta["version"]})
	}
	slices.SortFunc(servers, func(a, b store.Server) int { return cmp.Compare(a.Name, b.Name) })
	return servers, err
}

// Agent describes the Consul agent that answers.
func (s *Store) Agent(ctx context.Context) (store.AgentInfo, error) {
	var self struct {
		Config      struct{ NodeName, Version string }
		DebugConfig struct{ KVMaxValueSize, TxnMaxReqLen int64 }
	}
	err := s.readJSON(ctx, request{method: http.MethodGet, path: "/v1/agent/self",
		needs: need{"the Consul agent", `agent_prefix "" { policy = "read" }`}}, &self)
	return store.AgentInfo{Node: self.Config.NodeName, Version: self.Config.Version, MaxValue: self.DebugConfig.KVMaxValueSize,
		MaxTxn: self.DebugConfig.TxnMaxReqLen}, err
}

// Authorize returns which accesses the token has. Consul only computes that.
func (s *Store) Authorize(ctx context.Context, accesses []store.Access) ([]bool, error) {
	allowed := make([]bool, 0, len(accesses))
	for chunk := range slices.Chunk(accesses, maxAuthorize) {
		body, err := json.Marshal(chunk)
		if err != nil {
			return nil, err
		}
		var answers []struct{ Allow bool }
		enabled := true
		r := request{kind: "acl", method: http.MethodPost, path: "/v1/internal/acl/authorize", body: body,
			accept: []int{http.StatusOK, http.StatusUnauthorized}, needs: need{"the token in use", "to be known to Consul"}}
		err = s.read(ctx, r, func(response *http.Response) error {
			if response.StatusCode == http.StatusUnauthorized { // ACLs are disabled
				enabled = false
				return nil
			}
			if err := json.NewDecoder(response.Body).Decode(&answers); err != nil {
				return &lostError{err}
			}
			return nil
		})
		switch {
		case err != nil || !enabled:
			return nil, err
		case len(answers) != len(chunk):
			return nil, fmt.Errorf("consul at %s: %d answers about %d accesses", s.addr, len(answers), len(chunk))
		}
		for _, a := range answers {
			allowed = append(allowed, a.Allow)
		}
	}
	return allowed, nil
}

// readJSON reads an answer whose status is 200.
func (s *Store) readJSON(ctx context.Context, r request, into any) error {
	r.accept = []int{http.StatusOK}
	return s.read(ctx, r, func(response *http.Response) error {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			return &lostError{err}
		}
		return nil
	})
}
