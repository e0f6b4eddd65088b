package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// revoking is a broker in a bubble, with its API.
type revoking struct {
	b *broker.Broker
	o Options
	h http.Handler
}

func newRevoking(t testing.TB) *revoking {
	bo, o := withTickets(t, ticket.Options{})
	b := brokertest.New(t, bo)
	return &revoking{b, o, newHandler(t, b, o)}
}

func (r *revoking) post(t testing.TB, path, body string) answer {
	t.Helper()
	return serve(r.h, request(t, "POST", "http://localhost/api/v1/"+path, body))
}

// ticket returns a new ticket of a user.
func (r *revoking) ticket(t testing.TB, user string) string {
	t.Helper()
	var m minted
	r.post(t, "tickets", fmt.Sprintf(`{"user":%q}`, user)).json(t, http.StatusCreated, &m)
	return m.Ticket
}

// revoke returns how many sessions the answer says were ended, -1 if it does
// not.
func (r *revoking) revoke(t testing.TB, kind, name string) int {
	t.Helper()
	var got revoked
	r.post(t, "revocations", fmt.Sprintf(`{%q:%q}`, kind, name)).json(t, http.StatusOK, &got)
	if got.Sessions == nil {
		return -1
	}
	return *got.Sessions
}

// wantRevoked wants the client told and closed, within a second of begin.
func wantRevoked(t testing.TB, c *brokertest.Client, begin time.Time) {
	t.Helper()
	if got := c.Expect(t, "ERROR").Get("message"); got != "session revoked" {
		t.Errorf("the client is told %q", got)
	}
	if err := c.Ended(t); err == nil || c.CloseCode() != 1008 {
		t.Errorf("ended with %v and %d", err, c.CloseCode())
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("ended after %v", d)
	}
}

func TestRevokeUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRevoking(t)
		byTicket := brokertest.Connect(t, r.b, "ticket", r.ticket(t, "ann"))
		byLogin := brokertest.Connect(t, r.b, "login", "ann")
		other := brokertest.Connect(t, r.b, "ticket", r.ticket(t, "bob"))
		nobody := brokertest.Connect(t, r.b)
		unused, others := r.ticket(t, "ann"), r.ticket(t, "bob")
		begin := time.Now()
		if n := r.revoke(t, "user", "ann"); n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
		wantRevoked(t, byTicket, begin)
		wantRevoked(t, byLogin, begin)
		wantDead(t, r.o, unused, ticket.Revoked)
		other.Sync(t)
		nobody.Sync(t)
		consume(t, r.o, others, "")
		if n := r.revoke(t, "user", "ann"); n != 0 { // idempotent
			t.Errorf("again: %d sessions", n)
		}
		// Tickets granted from now on are valid.
		<-time.After(time.Second)
		brokertest.Connect(t, r.b, "ticket", r.ticket(t, "ann")).Sync(t)
		if n := r.revoke(t, "user", "never seen"); n != 0 {
			t.Errorf("never seen: %d sessions", n)
		}
	})
}

func TestRevokeSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRevoking(t)
		c := brokertest.Connect(t, r.b, "ticket", r.ticket(t, "ann"))
		other := brokertest.Connect(t, r.b, "ticket", r.ticket(t, "ann"))
		unused := r.ticket(t, "ann")
		begin := time.Now()
		for _, want := range []int{1, 0, 0} {
			if n := r.revoke(t, "session", c.Session); n != want {
				t.Errorf("%d sessions, want %d", n, want)
			}
		}
		wantRevoked(t, c, begin)
		other.Sync(t)
		consume(t, r.o, unused, "")
	})
}

func TestRevokeCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRevoking(t)
		used, unused := r.ticket(t, "ann"), r.ticket(t, "ann")
		c := brokertest.Connect(t, r.b, "ticket", used)
		other := brokertest.Connect(t, r.b, "ticket", r.ticket(t, "ann"))
		begin := time.Now()
		for range 2 {
			for _, value := range []string{used, unused} {
				hash := sha256.Sum256([]byte(value))
				if n := r.revoke(t, "credential", "ticket:"+hex.EncodeToString(hash[:])[:32]); n != -1 {
					t.Errorf("%d sessions, which nobody knows", n)
				}
			}
		}
		wantRevoked(t, c, begin)
		wantDead(t, r.o, unused, ticket.Revoked)
		other.Sync(t)
	})
}

// Over a network, and with the API's own clock.
func TestRevokeOverHTTP(t *testing.T) {
	bo, o := withTickets(t, ticket.Options{})
	s := start(t, bo, o)
	c := brokertest.Connect(t, s.b, "login", "ann")
	begin := time.Now()
	var got revoked
	s.do(t, "POST", "/api/v1/revocations", `{"user":"ann","session":null}`).json(t, http.StatusOK, &got)
	if got.Sessions == nil || *got.Sessions != 1 {
		t.Errorf("%+v", got)
	}
	wantRevoked(t, c, begin)
}

func TestRevokeRefuses(t *testing.T) {
	bo, o := withTickets(t, ticket.Options{})
	o.MaxBody = 2000
	s := start(t, bo, o)
	c := brokertest.Connect(t, s.b, "login", "ann")
	const one = `exactly one of "user", "session" and "credential"`
	for body, detail := range map[string]string{
		`{"user":"ann"`:                      "not JSON",
		`["ann"]`:                            "must be a JSON object",
		`{}`:                                 one,
		`{"user":null}`:                      one,
		`{"user":"ann","session":"x"}`:       one,
		`{"user":"ann","credential":"x"}`:    one,
		`{"session":"x","credential":"x"}`:   one,
		`{"user":"ann","session":""}`:        `"session" is empty`,
		`{"user":"ann","credential":""}`:     `"credential" is empty`,
		`{"user":""}`:                        "user name is blank",
		`{"user":"a\u0000"}`:                 "the user name contains",
		`{"user":["ann"]}`:                   `"user" must be a string`,
		`{"session":1}`:                      `"session" must be a string`,
		`{"credential":{}}`:                  `"credential" must be a string`,
		`{"user":"ann","user":"ann"}`:        `"user" twice`,
		`{"USER":"ann"}`:                     `no field "USER", only user, session and credential`,
		`{"user":"ann","at":"2027-01-01"}`:   `no field "at"`,
		`{"user":"ann","session":"x","a":1}`: `no field "a"`,
	} {
		s.do(t, "POST", "/api/v1/revocations", body).problem(t, http.StatusBadRequest, detail)
	}
	const good = `{"user":"ann"}`
	s.do(t, "POST", "/api/v1/revocations?user=ann", good).problem(t, http.StatusBadRequest, `takes no parameters`)
	s.do(t, "POST", "/api/v1/revocations", good, "Content-Type", "").problem(t, http.StatusUnsupportedMediaType, "application/json")
	s.do(t, "POST", "/api/v1/revocations", good+strings.Repeat(" ", 2000)).problem(t, http.StatusRequestEntityTooLarge, "larger than 2000 bytes")
	c.Sync(t)
	if o.Revocations.Epoch("ann") != 0 {
		t.Error("a refused request revoked something")
	}
}

// deaf is an [auth.Keeper] whose store does not answer.
type deaf struct{ err error }

func (d *deaf) Keep(context.Context, auth.Event) (uint64, error) { return 1, d.err }

// A revocation that may not be stored is not confirmed, although it is in force
// here.
func TestRevocationThatIsNotStored(t *testing.T) {
	store := &deaf{errors.New("no response from stream")}
	revocations := auth.NewKeptRevocations("test", store)
	b := brokertest.New(t, broker.Options{Revocations: revocations})
	h := newHandler(t, b, Options{Revocations: revocations})
	post := func() answer {
		return serve(h, request(t, "POST", "http://localhost/api/v1/revocations", `{"credential":"c"}`))
	}
	a := post()
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" || !strings.Contains(string(a.body), "repeat the request") || strings.Contains(string(a.body), "stream") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	if !revocations.Revoked(&auth.Principal{CredentialID: "c"}) {
		t.Error("it is not in force")
	}
	store.err = nil
	if a := post(); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}
