// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// The statuses that SetCheck accepts, and that a NodeCheck may have.
const (
	Passing  = api.HealthPassing
	Warning  = api.HealthWarning
	Critical = api.HealthCritical
)

// ErrNoCheck is returned for the check of a service that the Consul agent does not have.
var ErrNoCheck = errors.New("the Consul agent has no such check")

const (
	// serviceCheck begins the id of the check of a service.
	serviceCheck = "service:"
	// minCheckTTL is the shortest useful TTL, since each update is a request.
	minCheckTTL = time.Second
	// maxOutput is how much output of a check Consul stores by default.
	maxOutput = 4 << 10
)

// SetCheck sets a check of the local Consul agent to Passing, Warning or Critical. The check turns critical if it is not set again
// within its TTL, which is at least a second. SetCheck registers a missing check of the node, with its id as its name. The check
// of a service, service:<service>, must exist: otherwise the error is ErrNoCheck.
func (s *Store) SetCheck(ctx context.Context, id string, ttl time.Duration, status, output string) error {
	switch allowed := []string{Passing, Warning, Critical}; {
	case id == "":
		return errors.New("set a check: its id is required")
	case !slices.Contains(allowed, status):
		return fmt.Errorf("check %s: status %q: must be one of %s", id, status, strings.Join(allowed, ", "))
	case ttl < minCheckTTL:
		return fmt.Errorf("check %s: TTL %s: must be at least %s", id, ttl, minCheckTTL)
	}
	update := func() error {
		return s.putCheck(ctx, id, "/v1/agent/check/update/"+id, checkUpdate{status, output[:min(len(output), maxOutput)]})
	}
	err := update()
	if !errors.Is(err, ErrNoCheck) || strings.HasPrefix(id, serviceCheck) {
		return err
	}
	// It is registered as passing, because by default it would be critical for a moment. If it were registered with the new status,
	// the update would only change the output, which the Consul agent sends to the servers up to five minutes later.
	err = s.putCheck(ctx, id, "/v1/agent/check/register", api.AgentCheckRegistration{ID: id, Name: id,
		AgentServiceCheck: api.AgentServiceCheck{TTL: ttl.String(), Status: Passing}})
	if err != nil {
		return err
	}
	return update()
}

// checkUpdate is the body of an update.
type checkUpdate struct{ Status, Output string }

func (s *Store) putCheck(ctx context.Context, id, path string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	r := request{method: http.MethodPut, path: path, body: body, needs: needCheck(id),
		accept: []int{http.StatusOK, http.StatusNotFound}}
	return s.write(ctx, r, func(response *http.Response) error {
		if response.StatusCode == http.StatusNotFound {
			return fmt.Errorf("check %s: %w", id, ErrNoCheck)
		}
		return nil
	})
}

// NodeCheck is a check of a node, or of a service on it.
type NodeCheck struct {
	// ID is unique on the node.
	ID string
	// Name is the readable name.
	Name string
	// Status is Passing, Warning, Critical, or maintenance.
	Status string
	// Output is the last output of the check.
	Output string
}

// NodeChecks returns all checks of a node, sorted by id. Every node has at least one. No check means that the node does not
// exist, or that the token may not read it.
func (s *Store) NodeChecks(ctx context.Context, node string) (checks []NodeCheck, meta store.Meta, err error) {
	if node == "" {
		return nil, meta, errors.New("read checks: the node's name is required")
	}
	r := request{method: http.MethodGet, path: "/v1/health/node/" + node, query: []string{s.mode()},
		needs: need{"node " + node, fmt.Sprintf("node %q { policy = %q }", node, "read")}, accept: []int{http.StatusOK}}
	err = s.read(ctx, r, func(response *http.Response) (err error) {
		if meta, err = s.meta(response); err != nil {
			return err
		}
		checks, err = decodeNodeChecks(response.Body)
		return s.decodeError(r.needs.key, err)
	})
	slices.SortFunc(checks, func(a, b NodeCheck) int { return strings.Compare(a.ID, b.ID) })
	return checks, meta, err
}

// needCheck is the ACL rule for a check of the local Consul agent. The name of the agent's node is not known here.
func needCheck(id string) need {
	if service, ok := strings.CutPrefix(id, serviceCheck); ok {
		return need{"check " + id, fmt.Sprintf("service %q { policy = %q }", service, "write")}
	}
	return need{"check " + id, `node_prefix "" { policy = "write" }`}
}
