package ticket

import (
	"errors"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestN11TicketIsBoundToItsUser(t *testing.T) {
	alice, nobody := &auth.Principal{Name: "alice"}, &auth.Principal{Roles: []string{auth.RoleBackend}}
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		for _, c := range []struct {
			name, login string
			handshake   *auth.Principal
			want        string
			after       string // of a second attempt with nothing wrong
		}{
			{"nothing else", "", nil, "bob", "used before"},
			{"same login", "bob", nil, "bob", "used before"},
			{"same as the handshake", "", &auth.Principal{Name: "bob"}, "bob", "used before"},
			{"other login", "alice", nil, "of another user", "used before"},
			{"other than the handshake", "", alice, "of another user", "used before"},
			{"other than an anonymous handshake", "", nobody, "of another user", "used before"},
			{"login is other than the handshake", "bob", alice, "refused", "bob"},
		} {
			a := attempt(auth.StageConnect, mint(t, tickets, user("bob")).Value, "")
			a.Login, a.Principal = c.login, c.handshake
			p, err := tickets.Authenticate(t.Context(), a)
			var cause *Error
			got := "refused"
			if err == nil || errors.As(err, &cause) {
				got = verdictOf(t, p, err)
			}
			if got != c.want {
				t.Errorf("%s: %s", c.name, got)
			}
			p, err = tickets.Authenticate(t.Context(), attempt(auth.StageConnect, a.Ticket, ""))
			if got := verdictOf(t, p, err); got != c.after {
				t.Errorf("%s: then %s", c.name, got)
			}
		}
	})
}

func TestTicketsAuthenticateAtAllStages(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		for _, stage := range []auth.Stage{auth.StageHandshake, auth.StageConnect, auth.StageRenew} {
			if _, err := tickets.Authenticate(t.Context(), attempt(stage, "", "")); err != auth.ErrNotMine {
				t.Errorf("%v without a ticket: %v", stage, err)
			}
			a := attempt(stage, mint(t, tickets, user("alice")).Value, "")
			if stage == auth.StageRenew {
				// Whether a renewal is the same user's is for the broker to say.
				a.Principal, a.Handshake = &auth.Principal{Name: "bob"}, nil
			}
			if _, err := tickets.Authenticate(cancelled(), a); err == nil || errors.Is(err, auth.ErrNotMine) {
				t.Errorf("%v too late: %v", stage, err)
			}
			for _, want := range []string{"alice", "used before"} {
				p, err := tickets.Authenticate(t.Context(), a)
				if got := verdictOf(t, p, err); got != want {
					t.Errorf("%v: %s, want %s", stage, got, want)
				}
			}
		}
		a := attempt(0, mint(t, tickets, user("alice")).Value, "")
		if _, err := tickets.Authenticate(t.Context(), a); err != auth.ErrNotMine {
			t.Errorf("no stage: %v", err)
		}
		chain := auth.Chain(tickets, auth.Anonymous)
		if p, err := chain.Authenticate(t.Context(), attempt(auth.StageConnect, "wrong", "")); p != nil || err == nil {
			t.Error("a wrong ticket makes an anonymous session")
		}
	})
}

func TestTicketAtConnectOverPlainTCP(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	a := attempt(auth.StageConnect, mint(t, tickets, user("alice")).Value, "")
	a.Handshake = nil
	p, err := tickets.Authenticate(t.Context(), a)
	if got := verdictOf(t, p, err); got != "alice" {
		t.Error(got)
	}
}

// T+5: a ticket presented by a page of another origin counts as stolen.
func TestT5PlusOriginBinding(t *testing.T) {
	const app = "https://app.example.com"
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		for _, c := range []struct{ bound, origin, want string }{
			{app, app, "alice"},
			{"HTTPS://App.Example.com:443", app, "alice"},
			{"", app, "alice"},
			{"", "", "alice"},
			{app, "", "bound to another origin"},
			{app, "http://app.example.com", "bound to another origin"},
			{app, app + ":8443", "bound to another origin"},
			{app, "null", "bound to another origin"},
		} {
			for _, stage := range []auth.Stage{auth.StageHandshake, auth.StageConnect} {
				ticket := mint(t, tickets, Grant{Principal: &auth.Principal{Name: "alice"}, Origin: c.bound})
				p, err := tickets.Authenticate(t.Context(), attempt(stage, ticket.Value, c.origin))
				if got := verdictOf(t, p, err); got != c.want {
					t.Errorf("%v, %q by %q: %s", stage, c.bound, c.origin, got)
				}
				if got := consumed(t, tickets, ticket.Value, app); got != "used before" {
					t.Errorf("%v, %q by %q: the ticket was not destroyed: %s", stage, c.bound, c.origin, got)
				}
			}
		}
		// CONNECT's own headers are the client's to choose.
		a := attempt(auth.StageConnect, mint(t, tickets, Grant{Principal: &auth.Principal{Name: "alice"}, Origin: app}).Value, "")
		a.Header = func(string) string { return app }
		p, err := tickets.Authenticate(t.Context(), a)
		if got := verdictOf(t, p, err); got != "bound to another origin" {
			t.Error(got)
		}
		// The page that renews is the page that has the session.
		a = attempt(auth.StageRenew, mint(t, tickets, Grant{Principal: &auth.Principal{Name: "alice"}, Origin: app}).Value, "")
		p, err = tickets.Authenticate(t.Context(), a)
		if got := verdictOf(t, p, err); got != "alice" {
			t.Error(got)
		}
		for _, origin := range []string{"null", "app.example.com", app + "/", app + "?", "https://", "https://u@h", "a:b", "https://%zz"} {
			if _, err := tickets.Mint(t.Context(), Grant{Principal: &auth.Principal{Name: "alice"}, Origin: origin}); err != ErrOrigin {
				t.Errorf("%q: %v", origin, err)
			}
		}
	})
}
