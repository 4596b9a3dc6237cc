// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dashboard serves read-only web pages of plans and their hosts.
//
// It owns the pages, their live updates, and one feed per plan: all viewers of a plan share one reader of the store, which
// runs while a page is open and for a while after. It must not write to the store, and it must not plan: it shows what an
// pass.Assessment says.
//
// A page is rendered on the server and works without JavaScript. With it, the page opens a stream of server-sent events and
// replaces the parts and cells that differ. All links are relative, so that the pages work below any path of a proxy.
//
// Start reading at Dashboard.route, then feed and page.changesSince.
package dashboard
