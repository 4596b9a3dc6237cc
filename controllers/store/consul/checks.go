// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/consul/api"
)

// maxOutput bounds the output of a check: Consul keeps no more by default.
const maxOutput = 4 << 10

// SetCheck sets a check of the node of the Consul agent that is asked, and registers it if that does not know it. The
// status is passing, warning or critical; it turns critical when it is not set again for ttl.
func (s *Store) SetCheck(ctx context.Context, id string, ttl time.Duration, status, output string) error {
	output = output[:min(len(output), maxOutput)]
	update := func() error {
		return s.putCheck(ctx, id, "/v1/agent/check/update/"+id, map[string]string{"Status": status, "Output": output})
	}
	err := update()
	var answer *statusError
	if !errors.As(err, &answer) || answer.code != http.StatusNotFound {
		return err
	}
	// As passing: by default it would be critical for a moment. And with its own status, the update would change the output
	// alone, which Consul's agent tells the servers up to five minutes later.
	if err := s.putCheck(ctx, id, "/v1/agent/check/register", api.AgentCheckRegistration{ID: id, Name: id,
		AgentServiceCheck: api.AgentServiceCheck{TTL: ttl.String(), Status: api.HealthPassing}}); err != nil {
		return err
	}
	return update()
}

func (s *Store) putCheck(ctx context.Context, id, path string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	r := request{method: http.MethodPut, path: path, body: body, accept: []int{http.StatusOK},
		needs: need{"check " + id, `node "…" { policy = "write" } for this node`}}
	return s.write(ctx, r, func(*http.Response) error { return nil })
}
