// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
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
		replaced := false
		read := func(context.Context) ([]store.Credential, error) {
			switch {
			case replaced:
				return nil, nil
			case time.Now().After(token.End):
				return []store.Credential{certificate}, errors.New("ACL not found")
			}
			return []store.Credential{token, certificate}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last map[string]store.Credential
		go watchCredentials(ctx, read, logr.Discard(), func(all []store.Credential) {
			last = map[string]store.Credential{}
			for _, c := range all {
				last[c.Kind] = c
			}
		})
		<-time.After(10*time.Minute + time.Second)
		synctest.Wait()
		if last["token"] != token || last["certificate"] != certificate {
			t.Errorf("after the expiry: %+v", last)
		}
		replaced = true
		<-time.After(time.Minute)
		synctest.Wait()
		if len(last) != 0 {
			t.Errorf("after the token and the certificate were replaced by others that do not expire: %+v", last)
		}
	})
}
