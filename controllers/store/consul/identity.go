// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
)

// Identity identifies the Consul cluster independent of the address: its datacenter, and the id of the cluster if it has one.
// Neither needs a token.
func (s *Store) Identity(ctx context.Context) (string, error) {
	var datacenters []string
	if err := s.ask(ctx, "/v1/catalog/datacenters", &datacenters); err != nil {
		return "", err
	}
	var roots struct{ TrustDomain string }
	if err := s.ask(ctx, "/v1/connect/ca/roots", &roots); err != nil {
		return "", err
	}
	datacenter := s.params.Get("dc")
	if datacenter == "" && len(datacenters) > 0 {
		datacenter = datacenters[0] // the nearest
	}
	return datacenter + "/" + cmp.Or(roots.TrustDomain, "no-cluster-id"), nil
}

// ask reads a small answer. It leaves into unchanged if the server has none, as for the roots of a mesh that is not enabled.
func (s *Store) ask(ctx context.Context, path string, into any) error {
	accept := []int{http.StatusOK, http.StatusNotFound, http.StatusInternalServerError}
	return s.read(ctx, request{method: http.MethodGet, path: path, accept: accept}, func(response *http.Response) error {
		if response.StatusCode != http.StatusOK {
			return nil
		}
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			return &lostError{err}
		}
		return nil
	})
}
