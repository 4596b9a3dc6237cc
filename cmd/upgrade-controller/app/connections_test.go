// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/jiocloud/upgrade-controller/controllers/store"
)

// TestWatchCredentials_KeepsWhatHasExpired reports a token until it expires. Consul does not know it any more then, and the alert
// must not end with that.
func TestWatchCredentials_KeepsWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		token := store.Credential{Kind: "token", Begin: begin, End: begin.Add(150 * time.Second)}
		certificate := store.Credential{Kind: "certificate", Begin: begin, End: begin.Add(time.Hour)}
		var replaced atomic.Bool
		read := func(context.Context) ([]store.Credential, error) {
			switch {
			case replaced.Load():
				return nil, nil
			case time.Now().After(token.End):
				return []store.Credential{certificate}, errors.New("ACL not found")
			}
			return []store.Credential{token, certificate}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last atomic.Pointer[map[string]store.Credential]
		go watchCredentials(ctx, read, logr.Discard(), func(all []store.Credential) {
			byKind := map[string]store.Credential{}
			for _, c := range all {
				byKind[c.Kind] = c
			}
			last.Store(&byKind)
		})
		<-time.After(10*time.Minute + time.Second)
		synctest.Wait()
		if got := *last.Load(); got["token"] != token || got["certificate"] != certificate {
			t.Errorf("after the expiry: %+v", got)
		}
		replaced.Store(true)
		<-time.After(time.Minute)
		synctest.Wait()
		if got := *last.Load(); len(got) != 0 {
			t.Errorf("after the token and the certificate were replaced by others that do not expire: %+v", got)
		}
	})
}
