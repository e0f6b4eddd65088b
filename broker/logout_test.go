package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Credentials of ann: a ticket and a token that were issued, so they can be
// revoked, and a passcode, which cannot.
var annsCredentials = auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	switch {
	case a.Ticket != "":
		return &auth.Principal{Name: "ann", CredentialID: "ticket"}, nil
	case a.Bearer != "":
		return &auth.Principal{Name: "ann", CredentialID: "token"}, nil
	case a.Login == "ann":
		return &auth.Principal{Name: "ann", CredentialID: "passcode"}, nil
	}
	return nil, auth.ErrNotMine
})

// What `logout:true` confirms it has done: it revokes the credential that the
// session has now, whatever it connected with.
func TestLogoutRevokesTheRenewedCredential(t *testing.T) {
	for _, tc := range []struct {
		name    string
		renewal []string // headers
		body    string
		revoked string
	}{
		{"passcode", nil, "", ""},
		{"passcode, renewed by ticket", []string{}, `{"ticket":"t"}`, "ticket"},
		{"passcode, renewed by token", []string{"Authorization", "Bearer t"}, "", "token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := auth.NewRevocations()
			b := brokertest.New(t, broker.Options{Authenticator: annsCredentials, Revocations: store})
			c := brokertest.Connect(t, b, "login", "ann", "passcode", "p")
			if tc.renewal != nil {
				c.Send("SEND", tc.body, append([]string{"destination", "/app/session/refresh", "receipt", "r"}, tc.renewal...)...)
				c.ExpectReceipt(t, "r")
			}
			logOut(t, c)
			wantRevoked(t, store, tc.revoked)
		})
	}
}

// The handshake may bring a ticket and, as some proxies add it, a login by HTTP
// Basic: the ticket decides, so it is what is revoked.
func TestLogoutRevokesTheTicketOfTheHandshake(t *testing.T) {
	for target, revoked := range map[string]string{"/ws?ticket=t": "ticket", "/ws": ""} {
		store := auth.NewRevocations()
		a := auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
			if a.Stage == auth.StageHandshake && a.Ticket == "" && a.Header("Authorization") != "" {
				return &auth.Principal{Name: "ann", CredentialID: "passcode"}, nil
			}
			return annsCredentials(ctx, a)
		})
		srv := brokertest.Start(t, broker.Options{Authenticator: a, Revocations: store})
		_, p := handshake(t, srv, target, "Authorization", "Basic YW5uOnA=")
		p.connect(t)
		p.send(t, "DISCONNECT", "", "logout", "true", "receipt", "bye")
		p.receipt(t, "bye")
		wantRevoked(t, store, revoked)
	}
}

// A ticket that ann got for her passcode is single-use: what it names is the
// passcode, and to revoke that would lock her out.
func TestLogoutOfATicketMadeFromAPasscode(t *testing.T) {
	for name, o := range map[string]ticket.Options{
		"random": {}, "signed": {Signed: true, Secrets: []ticket.Secret{{ID: "main", Key: []byte("0123456789abcdef0123456789abcdef")}}},
	} {
		for _, renewed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, renewed %v", name, renewed), func(t *testing.T) {
				store := auth.NewRevocations()
				tickets, err := ticket.New(ticket.NewMemory(), store, o)
				if err != nil {
					t.Fatal(err)
				}
				p := &auth.Principal{Name: "ann", CredentialID: "passcode", Passcode: true}
				ticket := func() string {
					ticket, err := tickets.Mint(t.Context(), ticket.Grant{Principal: p})
					if err != nil {
						t.Fatal(err)
					}
					return ticket.Value
				}
				b := brokertest.New(t, broker.Options{Authenticator: auth.Chain(tickets, annsCredentials), Revocations: store})
				c := brokertest.Connect(t, b, "ticket", ticket())
				if renewed {
					c.Send("SEND", `{"ticket":"`+ticket()+`"}`, "destination", "/app/session/refresh", "receipt", "r")
					c.ExpectReceipt(t, "r")
				}
				twin := brokertest.Connect(t, b, "ticket", ticket())
				logOut(t, c)
				c.Ended(t)
				twin.Sync(t)
				wantRevoked(t, store, "")
				brokertest.Connect(t, b, "login", "ann", "passcode", "p").Sync(t)
				unused := ticket() // a changed passcode kills it all the same
				if err := store.Revoke(t.Context(), auth.Revocation{Credential: "passcode"}); err != nil {
					t.Fatal(err)
				}
				wantError(t, twin, 1008, "session revoked")
				if got := tryConnect(t, b, "", "ticket", unused); got == "CONNECTED" {
					t.Error("the ticket of a revoked passcode is as good as before")
				}
			})
		}
	}
}

// What cannot be revoked, or belongs to many, is not: a client without a name just
// goes, and one whose credential has no id is told that it cannot log out.
func TestLogoutOfWhatCannotBeRevoked(t *testing.T) {
	store := auth.NewRevocations()
	b := brokertest.New(t, broker.Options{Revocations: store, Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		if a.Bearer != "" {
			return &auth.Principal{Name: "ann"}, nil
		}
		return &auth.Principal{CredentialID: "ticket"}, nil // of a page that everybody may open
	})})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	logOut(t, c)
	wantEnd(t, c, 1000)
	other.Sync(t)
	wantRevoked(t, store, "")

	c = brokertest.Connect(t, b, "Authorization", "Bearer t")
	c.Send("DISCONNECT", "", "logout", "true", "receipt", "bye")
	wantHeaders(t, wantError(t, c, 1002, "nothing to log out of: the credential cannot be revoked"), "receipt-id", "bye")
}

func logOut(t *testing.T, c *brokertest.Client) {
	t.Helper()
	c.Send("DISCONNECT", "", "logout", "true", "receipt", "bye")
	for {
		f, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if f.Command == "RECEIPT" && f.Get("receipt-id") == "bye" {
			return
		}
	}
}

// wantRevoked fails unless exactly this credential of ann's is revoked.
func wantRevoked(t *testing.T, store *auth.Revocations, credential string) {
	t.Helper()
	for _, id := range []string{"passcode", "ticket", "token"} {
		if got := store.Revoked(&auth.Principal{Name: "ann", CredentialID: id}); got != (id == credential) {
			t.Errorf("%s is revoked: %v, want %v", id, got, id == credential)
		}
	}
}

// The handshake was for ann, so a CONNECT that a hook takes for bob's is refused.
func TestConnectCannotChangeTheUserOfTheHandshake(t *testing.T) {
	for connectAs, ok := range map[string]bool{"ann": true, "bob": false, "": false} {
		srv := brokertest.Start(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
			if a.Stage == auth.StageHandshake {
				return &auth.Principal{Name: "ann"}, nil
			}
			return &auth.Principal{Name: connectAs}, nil
		})})
		p := rawWebSocket(t, srv)
		p.send(t, "CONNECT", "", "accept-version", "1.2")
		if ok {
			wantHeaders(t, p.want(t, "CONNECTED").f, "user-name", "ann")
			continue
		}
		p.wantGoodbye(t, 1008, "the credential belongs to another user than the one this connection was opened for")
		if n := srv.Broker.Stats().AuthFailures; n != 1 {
			t.Errorf("as %q: %d failures are counted, want 1", connectAs, n)
		}
	}
}

// deafKeeper is an [auth.Keeper] whose store does not answer.
type deafKeeper struct{}

func (deafKeeper) Keep(context.Context, auth.Event) (uint64, error) {
	return 0, errors.New("no response from stream")
}

// A logout that may not have been stored gets no RECEIPT, and the client is told
// so. The credential is rejected here all the same.
func TestLogoutThatIsNotStored(t *testing.T) {
	store := auth.NewKeptRevocations("test", deafKeeper{})
	b := brokertest.New(t, broker.Options{Authenticator: annsCredentials, Revocations: store})
	c := brokertest.Connect(t, b, "login", "ann", "passcode", "p")
	c.Send("SEND", `{"ticket":"t"}`, "destination", "/app/session/refresh", "receipt", "r")
	c.ExpectReceipt(t, "r")
	c.Send("DISCONNECT", "", "logout", "true", "receipt", "bye")
	for {
		f, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if f.Command == "RECEIPT" {
			t.Fatalf("it is confirmed: %v", f)
		}
		if f.Command == "ERROR" {
			if got := f.Get("message"); got != "the logout could not be stored: connect and log out again" {
				t.Errorf("the client is told %q", got)
			}
			break
		}
	}
	wantRevoked(t, store, "ticket")
}
