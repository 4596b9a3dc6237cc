// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/jiocloud/upgrade-controller/controllers/store"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consuldev"
	"github.com/jiocloud/upgrade-controller/controllers/store/consul/consultest"
)

const management = "6f5a4c4e-93cb-4f4c-a6ad-8c1d1a0c7a22"

// issuer signs JWTs.
type issuer struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{t, key}
}

// public returns the public key in PEM.
func (i *issuer) public() string {
	i.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		i.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// sign returns a JWT with the claims.
func (i *issuer) sign(claims map[string]any) string {
	i.t.Helper()
	body, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	hash := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, hash[:])
	if err != nil {
		i.t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// newLoginConsul starts a Consul with an auth method whose tokens may read a/.
func newLoginConsul(t *testing.T, method api.ACLAuthMethod) (addr string, client *api.Client) {
	t.Helper()
	agent := consultest.StartWith(t, consuldev.Options{ManagementToken: management, Config: "acl { token_ttl = \"0s\" }"})
	client, err := api.NewClient(&api.Config{Address: agent.Addr(), Token: management})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.ACL().PolicyCreate(&api.ACLPolicy{Name: "reader", Rules: `key_prefix "a/" { policy = "read" }`}, nil); err != nil {
		t.Fatal(err)
	}
	role := &api.ACLRole{Name: "reader", Policies: []*api.ACLLink{{Name: "reader"}}}
	if _, _, err := client.ACL().RoleCreate(role, nil); err != nil {
		t.Fatal(err)
	}
	method.Name = "machines"
	if _, _, err := client.ACL().AuthMethodCreate(&method, nil); err != nil {
		t.Fatal(err)
	}
	rule := &api.ACLBindingRule{AuthMethod: "machines", BindType: api.BindingRuleBindTypeRole, BindName: "reader"}
	if _, _, err := client.ACL().BindingRuleCreate(rule, nil); err != nil {
		t.Fatal(err)
	}
	return agent.Addr(), client
}

// loginTokens returns the tokens that logins made.
func loginTokens(t *testing.T, client *api.Client) []*api.ACLTokenListEntry {
	t.Helper()
	all, _, err := client.ACL().TokenListFiltered(api.ACLTokenFilterOptions{AuthMethod: "machines"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func jwtMethod(i *issuer) api.ACLAuthMethod {
	return api.ACLAuthMethod{Type: "jwt", MaxTokenTTL: time.Minute,
		Config: map[string]any{"JWTValidationPubKeys": []string{i.public()}, "BoundAudiences": []string{"consul"}}}
}

func claims() map[string]any {
	return map[string]any{"sub": "upgrade-controller", "aud": "consul", "nbf": time.Now().Add(-time.Minute).Unix(),
		"exp": time.Now().Add(time.Hour).Unix()}
}

// TestLogin_JWT logs in to a Consul, loses the token, logs in again, and logs out.
func TestLogin_JWT(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	addr, client := newLoginConsul(t, jwtMethod(issuer))
	file := writeFile(t, filepath.Join(t.TempDir(), "jwt"), issuer.sign(claims())+"\n")
	s := open(t, consul.Config{Address: addr, Token: secret, Login: consul.Login{AuthMethod: "machines", BearerTokenFile: file}})
	for range 10 {
		if _, _, err := s.Get(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
	}
	other := s.WithConnections(consul.Connections{Reads: 1})
	if _, _, err := other.Get(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	made := loginTokens(t, client)
	if len(made) != 1 {
		t.Fatalf("%d tokens, want one that both stores use", len(made))
	}
	expiring, err := s.Expiring(t.Context())
	if err != nil || len(expiring) != 1 || expiring[0].Kind != "login" || expiring[0].End.Sub(expiring[0].Begin).Round(time.Second) != time.Minute {
		t.Errorf("%+v, %v", expiring, err)
	}
	if _, err := client.ACL().TokenDelete(made[0].AccessorID, nil); err != nil {
		t.Fatal(err)
	}
	again := func(ctx context.Context) (bool, error) {
		_, _, err := s.Get(ctx, "a/b") // it fails until the pause after the first login is over
		return err == nil, nil
	}
	if err := wait.PollUntilContextCancel(t.Context(), 10*time.Millisecond, true, again); err != nil {
		t.Fatalf("no login after the token was deleted: %v", err)
	}
	if logins := loginTokens(t, client); len(logins) != 1 {
		t.Errorf("%d logins", len(logins))
	}
	if err := s.Logout(t.Context()); err != nil || len(loginTokens(t, client)) != 0 {
		t.Errorf("after the logout: %v, %d tokens", err, len(loginTokens(t, client)))
	}
}

// TestLogin_RefusedJWT logs in with JWTs that Consul refuses. The message must not hold them.
func TestLogin_RefusedJWT(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	addr, _ := newLoginConsul(t, jwtMethod(issuer))
	expired, elsewhere := claims(), claims()
	expired["exp"], elsewhere["aud"] = time.Now().Add(-time.Hour).Unix(), "vault"
	for name, jwt := range map[string]string{"expired": issuer.sign(expired), "of another audience": issuer.sign(elsewhere),
		"of another issuer": newIssuer(t).sign(claims()), "no JWT": "nonsense"} {
		file := writeFile(t, filepath.Join(t.TempDir(), "jwt"), jwt)
		s := open(t, consul.Config{Address: addr, RetryFor: -1, Login: consul.Login{AuthMethod: "machines", BearerTokenFile: file}})
		for range 3 {
			_, _, err := s.Get(t.Context(), "a/b")
			if err == nil || strings.Contains(err.Error(), jwt) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	s := open(t, consul.Config{Address: addr, Login: consul.Login{AuthMethod: "machines", BearerTokenFile: "/no/such/jwt"}})
	if _, _, err := s.Get(t.Context(), "a/b"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestLogin_Kubernetes logs in with the token of a service account, which Consul checks at a Kubernetes API.
func TestLogin_Kubernetes(t *testing.T) {
	t.Parallel()
	jwt := newIssuer(t).sign(map[string]any{"iss": "kubernetes/serviceaccount", "kubernetes.io/serviceaccount/namespace": "default",
		"kubernetes.io/serviceaccount/service-account.name": "upgrade-controller"})
	kubernetes := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/tokenreviews") {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","status":{"authenticated":true,` +
				`"user":{"username":"system:serviceaccount:default:upgrade-controller","uid":"1",` +
				`"groups":["system:serviceaccounts","system:serviceaccounts:default","system:authenticated"]}}}`))
			return
		}
		_, _ = w.Write([]byte(`{"kind":"ServiceAccount","apiVersion":"v1","metadata":{"name":"upgrade-controller","namespace":"default","uid":"1"}}`))
	}))
	t.Cleanup(kubernetes.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: kubernetes.Certificate().Raw})
	addr, client := newLoginConsul(t, api.ACLAuthMethod{Type: "kubernetes",
		Config: map[string]any{"Host": kubernetes.URL, "CACert": string(ca), "ServiceAccountJWT": jwt}})
	file := writeFile(t, filepath.Join(t.TempDir(), "jwt"), jwt)
	s := open(t, consul.Config{Address: addr, Login: consul.Login{AuthMethod: "machines", BearerTokenFile: file}})
	if _, _, err := s.Get(t.Context(), "a/b"); err != nil || len(loginTokens(t, client)) != 1 {
		t.Errorf("%v, %d tokens", err, len(loginTokens(t, client)))
	}
	if _, err := s.Txn(t.Context(), []store.Op{{Verb: store.Set, Key: "a/b"}}); err == nil {
		t.Error("a token that may read writes")
	}
}

// TestExpiring_IsAnErrorWithoutItsToken reads when a token expires, and deletes the token. Callers keep the last answer then.
func TestExpiring_IsAnErrorWithoutItsToken(t *testing.T) {
	t.Parallel()
	agent := consultest.StartWith(t, consuldev.Options{ManagementToken: management})
	client, err := api.NewClient(&api.Config{Address: agent.Addr(), Token: management})
	if err != nil {
		t.Fatal(err)
	}
	made, _, err := client.ACL().TokenCreate(&api.ACLToken{ExpirationTTL: 30 * time.Minute}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, consul.Config{Address: agent.Addr(), Token: made.SecretID})
	if expiring, err := s.Expiring(t.Context()); err != nil || len(expiring) != 1 || expiring[0].Kind != "token" ||
		expiring[0].End.Sub(expiring[0].Begin).Round(time.Second) != 30*time.Minute {
		t.Errorf("%+v, %v", expiring, err)
	}
	if id, err := s.Accessor(t.Context()); err != nil || id != made.AccessorID {
		t.Errorf("accessor %q, %v", id, err)
	}
	if _, err := client.ACL().TokenDelete(made.AccessorID, nil); err != nil {
		t.Fatal(err)
	}
	if id, err := s.Accessor(t.Context()); err == nil || id != "" {
		t.Errorf("deleted token: accessor %q, %v", id, err)
	}
	expiring, err := s.Expiring(t.Context())
	if forbidden, ok := errors.AsType[*store.ForbiddenError](err); !ok || forbidden.Key == "" || len(expiring) != 0 {
		t.Errorf("deleted token: %+v, %v", expiring, err)
	}
	anonymous := open(t, consul.Config{Address: agent.Addr()})
	if expiring, err := anonymous.Expiring(t.Context()); err != nil || len(expiring) != 0 {
		t.Errorf("no token: %+v, %v", expiring, err)
	}
	noACLs := open(t, consul.Config{Address: consultest.Start(t).Addr(), Token: secret})
	if expiring, err := noACLs.Expiring(t.Context()); err != nil || len(expiring) != 0 {
		t.Errorf("no ACLs: %+v, %v", expiring, err)
	}
	if id, err := noACLs.Accessor(t.Context()); err != nil || id != "" {
		t.Errorf("no ACLs: accessor %q, %v", id, err)
	}
}
