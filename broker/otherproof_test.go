package broker_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// proofs lets in by a ticket or a cookie, whose value is the user, and by the
// passcode "right". Where more than one is there, a ticket decides, then a cookie.
func proofs(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	login, passcode := a.Login, a.Passcode
	if a.Stage == auth.StageHandshake {
		r := http.Request{Header: a.Handshake.Header}
		login, passcode, _ = r.BasicAuth()
		if cookie := a.Header("Cookie"); cookie != "" && a.Ticket == "" {
			if strings.HasPrefix(cookie, "late ") {
				return nil, auth.ErrNotMine // it decides at CONNECT
			}
			return &auth.Principal{Name: cookie, Method: "oauth", CredentialID: "oauth:" + cookie}, nil
		}
	}
	if a.Stage == auth.StageConnect && a.Handshake != nil && strings.HasPrefix(a.Handshake.Header.Get("Cookie"), "late ") {
		return &auth.Principal{Name: "bob"}, nil
	}
	switch {
	case a.Ticket == "wrong":
		return nil, &auth.Refusal{}
	case a.Ticket != "":
		return &auth.Principal{Name: a.Ticket, Method: "ticket"}, nil
	case a.Bearer != "":
		return &auth.Principal{Name: a.Bearer}, nil
	case login == "" || a.Stage == auth.StageConnect && a.Principal != nil:
		return nil, auth.ErrNotMine
	case passcode == "mapped":
		return &auth.Principal{Name: "id of " + login}, nil
	case passcode != "right":
		return nil, &auth.Refusal{}
	}
	return &auth.Principal{Name: login}, nil
}

// Only a passcode that was right makes earlier failures of its login forgiven:
// whoever has a credential of his own beside it has shown nothing.
func TestOtherCredentialsForgiveNoFailures(t *testing.T) {
	const from = "192.0.2.1"
	door := func(target string, headers ...string) func(*testing.T, *broker.Broker) {
		return func(t *testing.T, b *broker.Broker) {
			if status := admitted(t, b, request("GET", target, from+":1", headers...)); status != http.StatusSwitchingProtocols {
				t.Errorf("HTTP %d", status)
			}
		}
	}
	frame := func(headers ...string) func(*testing.T, *broker.Broker) {
		return func(t *testing.T, b *broker.Broker) {
			if got := tryConnect(t, b, from, headers...); got != "CONNECTED" {
				t.Errorf("got %s", got)
			}
		}
	}
	for name, tc := range map[string]struct {
		comeIn func(*testing.T, *broker.Broker)
		next   int // the status of a wrong passcode after this
	}{
		"bob's ticket beside Basic":         {door("/ws?ticket=bob", "Authorization", basic("ann", "x")), 429},
		"ann's ticket beside Basic":         {door("/ws?ticket=ann", "Authorization", basic("ann", "x")), 429},
		"bob's cookie beside Basic":         {door("/ws", "Authorization", basic("ann", "x"), "Cookie", "bob"), 429},
		"ann's cookie beside Basic":         {door("/ws", "Authorization", basic("ann", "x"), "Cookie", "ann"), 429},
		"Basic":                             {door("/ws", "Authorization", basic("ann", "right")), 401},
		"Basic of a login that is no name":  {door("/ws", "Authorization", basic("ann", "mapped")), 401},
		"a ticket in CONNECT":               {frame("login", "ann", "passcode", "x", "ticket", "ann"), 429},
		"a token in CONNECT":                {frame("login", "ann", "passcode", "x", "Authorization", "Bearer ann"), 429},
		"CONNECT":                           {frame("login", "ann", "passcode", "right"), 401},
		"CONNECT, a login that is no name":  {frame("login", "ann", "passcode", "mapped"), 401},
		"nothing":                           {func(*testing.T, *broker.Broker) {}, 429},
		"CONNECT after a handshake by ann":  {connectBehind("/ws?ticket=ann"), 429},
		"CONNECT with a cookie of bob's":    {connectBehind("/ws", "Cookie", "late bob"), 429},
		"CONNECT after a cookie's of ann's": {connectBehind("/ws", "Cookie", "ann"), 429},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(proofs)})
				guess := func() int {
					return admitted(t, b, request("GET", "/ws", from+":1", "Authorization", basic("ann", "wrong")))
				}
				for range 5 {
					if status := guess(); status != 401 {
						t.Fatalf("a failure that is free: HTTP %d", status)
					}
				}
				tc.comeIn(t, b)
				if status := guess(); status != tc.next {
					t.Errorf("after it a wrong passcode got HTTP %d, want %d", status, tc.next)
				}
			})
		})
	}
}

// connectBehind sends a CONNECT with a wrong passcode of ann's on a connection
// whose handshake was for her.
func connectBehind(target string, headers ...string) func(*testing.T, *broker.Broker) {
	return func(t *testing.T, b *broker.Broker) {
		a, err := b.Admit(request("GET", target, "192.0.2.1:1", headers...))
		if err != nil {
			t.Fatal(err)
		}
		if got := connectAdmitted(t, b, a, "192.0.2.1", "login", "ann", "passcode", "x"); got != "CONNECTED" {
			t.Errorf("got %s", got)
		}
	}
}

// A ticket is looked at whatever passcodes have failed, and a wrong one is no
// failure of the login beside it.
func TestTicketBesidePasscodeIsNoTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(proofs), Limits: broker.Limits{LoginFailures: 1}})
		for range 4 {
			if status := admitted(t, b, request("GET", "/ws?ticket=wrong", "192.0.2.1:1", "Authorization", basic("ann", "x"))); status != 401 {
				t.Errorf("a wrong ticket: HTTP %d", status)
			}
		}
		if status := admitted(t, b, request("GET", "/ws", "192.0.2.1:1", "Authorization", basic("ann", "wrong"))); status != 401 {
			t.Errorf("the first wrong passcode: HTTP %d", status)
		}
	})
}

// A login cookie decides before Basic, so that it is what is logged out.
func TestLogoutRevokesTheCookieBesideBasic(t *testing.T) {
	store := auth.NewRevocations()
	srv := brokertest.Start(t, broker.Options{Authenticator: auth.AuthenticatorFunc(proofs), Revocations: store})
	_, p := handshake(t, srv, "/ws", "Authorization", basic("ann", "x"), "Cookie", "ann")
	p.connect(t)
	p.send(t, "DISCONNECT", "", "logout", "true", "receipt", "bye")
	p.receipt(t, "bye")
	if !store.Revoked(&auth.Principal{Name: "ann", CredentialID: "oauth:ann"}) {
		t.Error("the cookie's credential is as good as before")
	}
}
