package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLists(t *testing.T) {
	path := write(t, "hoofbeat.yaml", `
nodes: [{id: one, url: "wss://one.example/ws"}, {id: two, url: "wss://two.example/ws"}]
auth:
  jwt:
    - issuer: https://login.example
      audience: broker
      algorithms: [ES256, RS256]
      user: email
      roles: realm_access.roles
      scopes: chat
      require_type: true
    - {issuer: https://other.example, audience: broker, jwks: https://other.example/keys}
  introspection:
    - {url: "https://login.example/introspect", client_id: me, client_secret_file: secret, audience: broker}
  userinfo: [{url: "https://login.example/userinfo"}]
  oauth:
    - {name: example, issuer: "https://login.example", client_id: me, redirect_url: "https://a.example/oauth/callback", scopes: [openid], auth_style: post}
`)
	c, err := Load(Sources{File: path, Env: []string{
		"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=s3cret", "HOOFBEAT_AUTH_JWT_1_USER=upn",
		"HOOFBEAT_AUTH_USERINFO_1_URL=https://more.example/me", "HOOFBEAT_AUTH_USERINFO_1_SCOPES=a,b",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []Node{{"one", "wss://one.example/ws"}, {"two", "wss://two.example/ws"}}; !reflect.DeepEqual(c.Nodes, want) {
		t.Errorf("nodes %+v", c.Nodes)
	}
	want := Auth{
		JWT: []JWT{
			{Issuer: "https://login.example", Audience: "broker", Algorithms: []string{"ES256", "RS256"}, Claims: Claims{User: "email", Roles: "realm_access.roles", Scopes: []string{"chat"}}, RequireType: true, Leeway: time.Minute},
			{Issuer: "https://other.example", Audience: "broker", JWKS: "https://other.example/keys", Claims: Claims{User: "upn"}, Leeway: time.Minute},
		},
		Introspection: []Introspection{{URL: "https://login.example/introspect", Recheck: time.Minute, ClientID: "me", ClientSecret: Secret{File: filepath.Join(filepath.Dir(path), "secret")}, Audience: "broker"}},
		UserInfo:      []UserInfo{{URL: "https://login.example/userinfo", Recheck: time.Minute}, {URL: "https://more.example/me", Recheck: time.Minute, Claims: Claims{Scopes: []string{"a", "b"}}}},
		OAuth: []OAuth{{
			Name: "example", Issuer: "https://login.example", ClientID: "me", ClientSecret: Secret{Text: "s3cret"},
			RedirectURL: "https://a.example/oauth/callback", Scopes: []string{"openid"}, AuthStyle: "post",
		}},
	}
	got := Auth{JWT: c.Auth.JWT, Introspection: c.Auth.Introspection, UserInfo: c.Auth.UserInfo, OAuth: c.Auth.OAuth}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%#v\nwant\n%#v", got, want)
	}
	if !c.Authenticated() || c.Development() {
		t.Error("not authenticated")
	}
	other := *c
	other.Auth.OAuth = []OAuth{c.Auth.OAuth[0]}
	other.Auth.OAuth[0].ClientSecret.Text = "other"
	if changed := Changed(c, &other); !reflect.DeepEqual(changed, []string{"auth.oauth"}) {
		t.Errorf("changed %v", changed)
	}
	if text := fmt.Sprintf("%v %+v %#v", *c, *c, c.Auth.OAuth[0]); strings.Contains(text, "s3cret") {
		t.Errorf("a secret is in %s", text)
	}
}

func TestListErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"auth: {jwt: 5}":                   "auth.jwt: want a list of {issuer: ",
		"auth: {jwt: [5]}":                 "auth.jwt[0]: want keys and values",
		"auth: {jwt: [{isuer: a}]}":        "hoofbeat.yaml:1: auth.jwt[0].isuer: there is no such key, did you mean issuer?",
		"auth: {jwt: [{audience: a}]}":     "auth.jwt[0].issuer: is missing: want a URL",
		"auth: {jwt: [{issuer: ftp://a}]}": "auth.jwt[0].issuer: is not accepted: want a URL",
		"auth: {oauth: [{auth_style: x}]}": `auth.oauth[0].auth_style: "x" is not accepted: want basic, post or none`,
		"nodes: [{id: a, url: http://b}]":  `nodes[0].url: "http://b" is not accepted: want a URL such as wss://`,
		"auth:\n  jwt:\n  - {issuer: https://a, audience: b}\n  - {issuer: https://a, audience: b, algorithms: {}}": "hoofbeat.yaml:4: auth.jwt[1].algorithms: want a list of texts without keys: RS256, RS384",
		"nodes: [" + strings.Repeat("{id: a, url: 'ws://b'},", 101) + "]":                                           "nodes: has more than 100 items",
		"auth: {tickets: {secret: hunter2}}":                                                                        "auth.tickets.secret: has no effect without auth.tickets.signed",
		"auth: {tickets: {signed: true}}":                                                                           "auth.tickets.signed: wants auth.tickets.secret",
		"auth: {tickets: {path: /ws}}":                                                                              "auth.tickets.path: /ws is taken",
		"auth: {tickets: {path: /oauth/login}}":                                                                     "auth.tickets.path: /oauth/login is taken",
		"auth: {tickets: {ttl: 2h}}":                                                                                "auth.tickets.ttl: 2h is out of range",
		"auth: {sessions: {token_store: a}}":                                                                        "auth.sessions.token_store: want both",
		"auth: {sessions: {cookie: 'a b'}}":                                                                         "auth.sessions.cookie: ",
		"auth: {webhook: {events: [disconnect]}}":                                                                   `auth.webhook.events: "disconnect" is not accepted`,
		"websocket: {origins: ['*']}\nauth: {oauth: [{name: a, client_id: b, redirect_url: https://c}]}":            "websocket.origins: * and auth.oauth",
	} {
		if _, err := load(t, yaml); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", yaml, err, want)
		}
	}
	for entry, want := range map[string]string{
		"HOOFBEAT_AUTH_JWT_1_ISSUER=https://a":  "HOOFBEAT_AUTH_JWT_1_ISSUER: there is no such variable", // the items have no gaps
		"HOOFBEAT_AUTH_JWT_0_ISUER=https://a":   "HOOFBEAT_AUTH_JWT_0_ISUER: there is no such variable",
		"HOOFBEAT_AUTH_JWT_0_ISSUER=nothing":    "HOOFBEAT_AUTH_JWT_0_ISSUER: is not accepted",
		"HOOFBEAT_AUTH_JWT_x_ISSUER=https://a":  "there is no such variable",
		"HOOFBEAT_AUTH_JWT=a":                   "HOOFBEAT_AUTH_JWT: is a list",
		"HOOFBEAT_AUTH_JWT_0_AUDIENCE=a":        "auth.jwt[0].issuer: is missing",
		"HOOFBEAT_AUTH_JWT_00_ISSUER=https://a": "there is no such variable",
	} {
		if _, err := Load(Sources{Env: []string{entry}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", entry, err, want)
		}
	}
}

func TestSecret(t *testing.T) {
	good := write(t, "good", "  hunter2\n")
	open := write(t, "open", "hunter2")
	if err := os.Chmod(open, 0o604); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		secret     Secret
		text, want string
	}{
		{Secret{}, "", ""},
		{Secret{Text: " hunter2 "}, "hunter2", ""},
		{Secret{File: good}, "hunter2", ""},
		{Secret{Text: "hunter2", File: good}, "", "key_file: and the secret itself are both given"},
		{Secret{File: open}, "", "mode 0604 lets everybody read or write it"},
		{Secret{File: write(t, "empty", "\n")}, "", "is empty"},
		{Secret{File: good + "x"}, "", "no such file"},
		{Secret{File: write(t, "big", strings.Repeat("hunter2", 10_000))}, "", "70000 bytes are no secret, the limit is 65536"},
	} {
		text, err := c.secret.Read("key")
		if text != c.text || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %v, want %q, %q", text, err, c.text, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is in %v", err)
		}
	}
}
