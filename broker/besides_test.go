package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Beside a cookie, a client's certificate or, at CONNECT, the Authorization header
// of the handshake, a passcode forgives the failures of its login only if the
// authenticator says that it was the passcode. Otherwise the owner of any
// credential could guess a passcode without an end, that of his own login, too.
func TestFailuresAreNotForgivenBesideAnotherCredential(t *testing.T) {
	const from = "192.0.2.1"
	bob, ann, nobody := &auth.Principal{Name: "bob"}, &auth.Principal{Name: "ann"}, &auth.Principal{}
	proven := &auth.Principal{Name: "id of ann", Passcode: true}
	cookie := []string{"Cookie", "a=b"}
	for name, tc := range map[string]struct {
		stage       auth.Stage // that decides
		headers     []string   // of the handshake
		certificate bool
		principal   *auth.Principal
		next        int // the status of a wrong passcode after this
	}{
		"handshake, alone":                {auth.StageHandshake, nil, false, bob, 401},
		"handshake, nobody":               {auth.StageHandshake, nil, false, nobody, 429},
		"handshake, cookie of bob":        {auth.StageHandshake, cookie, false, bob, 429},
		"handshake, cookie of ann":        {auth.StageHandshake, cookie, false, ann, 429},
		"handshake, beside a cookie":      {auth.StageHandshake, cookie, false, proven, 401},
		"handshake, certificate of bob":   {auth.StageHandshake, nil, true, bob, 429},
		"handshake, certificate of ann":   {auth.StageHandshake, nil, true, ann, 429},
		"handshake, beside a certificate": {auth.StageHandshake, nil, true, proven, 401},
		"CONNECT, alone":                  {auth.StageConnect, nil, false, bob, 401},
		"CONNECT, nobody":                 {auth.StageConnect, nil, false, nobody, 429},
		"CONNECT, cookie of bob":          {auth.StageConnect, cookie, false, bob, 429},
		"CONNECT, cookie of ann":          {auth.StageConnect, cookie, false, ann, 429},
		"CONNECT, beside a cookie":        {auth.StageConnect, cookie, false, proven, 401},
		"CONNECT, certificate of bob":     {auth.StageConnect, nil, true, bob, 429},
		"CONNECT, beside a certificate":   {auth.StageConnect, nil, true, proven, 401},
		"CONNECT, token of bob":           {auth.StageConnect, []string{"Authorization", "Bearer b"}, false, bob, 429},
		"CONNECT, other scheme of bob":    {auth.StageConnect, []string{"Authorization", "Negotiate b"}, false, bob, 429},
		"CONNECT, beside other scheme":    {auth.StageConnect, []string{"Authorization", "Negotiate b"}, false, proven, 401},
		"CONNECT, Basic of the handshake": {auth.StageConnect, []string{"Authorization", basic("eve", "x")}, false, bob, 429},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
					switch r := (http.Request{Header: a.Handshake.Header}); {
					case r.Header.Get("Authorization") == basic("ann", "wrong"):
						return nil, &auth.Refusal{}
					case a.Stage != tc.stage:
						return nil, auth.ErrNotMine
					}
					return tc.principal, nil
				})})
				guess := func() int {
					return admitted(t, b, request("GET", "/ws", from+":1", "Authorization", basic("ann", "wrong")))
				}
				for range 5 {
					if status := guess(); status != 401 {
						t.Fatalf("a failure that is free: HTTP %d", status)
					}
				}
				r := request("GET", "/ws", from+":1", tc.headers...)
				if tc.stage == auth.StageHandshake {
					r.Header.Set("Authorization", basic("ann", "x"))
				}
				if tc.certificate {
					r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
				}
				a, err := b.Admit(r)
				if err != nil {
					t.Fatal(err)
				}
				if tc.stage == auth.StageHandshake {
					a.Release()
				} else if got := connectAdmitted(t, b, a, from, "login", "ann", "passcode", "x"); got != "CONNECTED" {
					t.Errorf("got %s", got)
				}
				if status := guess(); status != tc.next {
					t.Errorf("after it a wrong passcode got HTTP %d, want %d", status, tc.next)
				}
			})
		})
	}
}
