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

// The statuses that UpdateTTL takes, and that a NodeCheck may have.
const (
	Passing  = api.HealthPassing
	Warning  = api.HealthWarning
	Critical = api.HealthCritical
)

// ErrNoCheck is returned for a check that the Consul agent does not have.
var ErrNoCheck = errors.New("the Consul agent has no such check")

// minCheckTTL is the shortest time that makes sense: an update takes a request.
const minCheckTTL = time.Second

// RegisterTTL makes a check of the node whose Consul agent is asked, or replaces it: id is its name too. It is critical
// until the first UpdateTTL, and again whenever none came for ttl, which is at least a second. A check that is replaced
// keeps its status.
func (s *Store) RegisterTTL(ctx context.Context, id string, ttl time.Duration) error {
	if id == "" {
		return errors.New("register a check: its id is required")
	}
	if ttl < minCheckTTL {
		return fmt.Errorf("check %s: TTL %s: must be at least %s", id, ttl, minCheckTTL)
	}
	body, err := json.Marshal(api.AgentCheckRegistration{ID: id, Name: id,
		AgentServiceCheck: api.AgentServiceCheck{TTL: ttl.String()}})
	if err != nil {
		return err
	}
	r := request{method: http.MethodPut, path: "/v1/agent/check/register", body: body, needs: needCheck(id),
		accept: []int{http.StatusOK}}
	return s.write(ctx, r, func(*http.Response) error { return nil })
}

// checkUpdate is the body of an update.
type checkUpdate struct{ Status, Output string }

// UpdateTTL sets the status of a check of the Consul agent that is asked: Passing, Warning or Critical. Consul cuts an
// output off after 4 KiB. ErrNoCheck when the agent does not have the check.
func (s *Store) UpdateTTL(ctx context.Context, id, status, output string) error {
	if id == "" {
		return errors.New("update a check: its id is required")
	}
	if allowed := []string{Passing, Warning, Critical}; !slices.Contains(allowed, status) {
		return fmt.Errorf("check %s: status %q: must be one of %s", id, status, strings.Join(allowed, ", "))
	}
	body, err := json.Marshal(checkUpdate{status, output})
	if err != nil {
		return err
	}
	r := request{method: http.MethodPut, path: "/v1/agent/check/update/" + id, body: body,
		needs: needCheck(id), accept: []int{http.StatusOK, http.StatusNotFound}}
	err = s.write(ctx, r, func(response *http.Response) error {
		if response.StatusCode == http.StatusNotFound {
			return fmt.Errorf("check %s: %w", id, ErrNoCheck)
		}
		return nil
	})
	return err
}

// NodeCheck is a check of a node, or of a service on it.
type NodeCheck struct {
	// ID is unique on the node.
	ID string `json:"CheckID"`
	// Name is for people.
	Name string
	// Status is Passing, Warning, Critical, or maintenance.
	Status string
	// Output is what the check said last.
	Output string
}

// NodeChecks are all checks of a node that Consul knows, sorted by id. Every node has one at least, so none means that
// there is no such node, or that the token may not read it.
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
		checks = nil
		return s.decodeError(json.NewDecoder(response.Body).Decode(&checks))
	})
	slices.SortFunc(checks, func(a, b NodeCheck) int { return strings.Compare(a.ID, b.ID) })
	return checks, meta, err
}

// serviceCheck is how Consul begins the id of the check of a service.
const serviceCheck = "service:"

// needCheck is what a token needs for a check of its Consul agent. It need not know the name of the agent's node.
func needCheck(id string) need {
	if service, ok := strings.CutPrefix(id, serviceCheck); ok {
		return need{"check " + id, fmt.Sprintf("service %q { policy = %q }", service, "write")}
	}
	return need{"check " + id, `node_prefix "" { policy = "write" }`}
}
