// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/lru"

	"github.com/jiocloud/upgrade-controller/controllers/planstore"
)

// The bounds on what clients choose.
const (
	// maxURL limits the decoded path and the query of a request together, in bytes.
	maxURL = 2 << 10
	// maxCachedPages limits the cached pages of hosts and searches, of all plans together.
	maxCachedPages = 64
	// maxCachedPage is the size of the largest page that is cached, in bytes.
	maxCachedPage = 256 << 10
	// maxRenders limits the pages of hosts and searches that are rendered at the same time.
	maxRenders = 4
	// namesMinInterval is the minimum interval between two reads of the names of the plans.
	namesMinInterval = time.Second
)

// tooLong reports whether the URL of a request exceeds the bound.
func tooLong(r *http.Request) bool { return len(r.URL.Path)+len(r.URL.RawQuery) > maxURL }

// pageCache keeps the pages whose names clients choose: those of hosts and of searches.
type pageCache struct {
	pages   *lru.Cache
	renders chan struct{}
}

func newPageCache() *pageCache {
	return &pageCache{lru.New(maxCachedPages), make(chan struct{}, maxRenders)}
}

// pageKey identifies a page. The ID of a snapshot belongs to one plan.
type pageKey struct{ snapshot, plan, name string }

// page returns the page of a view, from the cache if it is there.
func (c *pageCache) page(s *snapshot, v view) *page {
	if p := c.cached(s.id, v); p != nil {
		return p
	}
	c.renders <- struct{}{}
	defer func() { <-c.renders }()
	p := v.render(s)
	if p.size() <= maxCachedPage {
		c.pages.Add(pageKey{s.id, v.plan, v.name}, p)
	}
	return p
}

// cached returns a page if it is in the cache, else nil.
func (c *pageCache) cached(snapshot string, v view) *page {
	p, found := c.pages.Get(pageKey{snapshot, v.plan, v.name})
	if !found {
		return nil
	}
	cached, _ := p.(*page)
	return cached
}

// size returns the bytes of the page's parts.
func (p *page) size() int {
	bytes := 0
	for i := range p.parts {
		bytes += len(p.parts[i].html)
	}
	return bytes
}

// planNames says which plans exist. It reads the names at most once per namesMinInterval, so that requests for plans that do not
// exist neither start feeds nor load Consul.
type planNames struct {
	read func(context.Context) ([]string, error)

	mu    sync.Mutex
	at    time.Time
	names []string
	err   error
}

// check returns a *planstore.NotFoundError for a plan that does not exist.
func (n *planNames) check(ctx context.Context, plan string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Contains(n.names, plan) && time.Since(n.at) >= namesMinInterval {
		ctx, cancel := context.WithTimeout(ctx, firstSnapshotTimeout)
		defer cancel()
		n.names, n.err = n.read(ctx)
		n.at = time.Now()
	}
	switch {
	case slices.Contains(n.names, plan):
		return nil
	case n.err != nil:
		return n.err
	}
	return &planstore.NotFoundError{Name: plan}
}
