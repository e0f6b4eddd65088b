package ticket

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/auth"
)

// ticketModel defines a store of tickets: a list of all events in order.
type ticketModel struct {
	tickets []*modelTicket
	revoked map[string]bool      // credentials
	before  map[string]time.Time // by user: what was issued before is refused
}

type modelTicket struct {
	value   string
	p       *auth.Principal
	expires time.Time
	used    bool
	epoch   bool // its user's credential has changed since
}

func (m *ticketModel) refused(p *auth.Principal) bool {
	return p.Expired(time.Now()) || m.revoked[p.CredentialID] || !p.Issued.IsZero() && p.Issued.Before(m.before[p.Name])
}

func (m *ticketModel) change(user string) {
	for _, t := range m.tickets {
		t.epoch = t.epoch || t.p.Name == user
	}
}

// good reports whether a ticket would be accepted now.
func (m *ticketModel) good(t *modelTicket) bool {
	return !t.used && !t.epoch && time.Now().Before(t.expires) && !m.refused(t.p)
}

// outstanding returns the number that the limit applies to: a ticket of a
// revoked credential counts until it expires.
func (m *ticketModel) outstanding(user string) (n int) {
	for _, t := range m.tickets {
		if t.p.Name == user && !t.used && !t.epoch && time.Now().Before(t.expires) {
			n++
		}
	}
	return n
}

func TestPropertyTicketsAreAsTheModel(t *testing.T) {
	const perSubject = 2
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lets, refuses, full := 0, 0, 0
				// As a mere TB, because rapid asks a T for its deadline, which
				// is outside the bubble.
				rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) {
					start := time.Now()
					store := newState()
					tickets, err := New(store.memory, store.revocations, Options{
						TTL: 10 * time.Second, Rate: -1, PerSubject: perSubject, Signed: signed, Secrets: []Secret{key('a')},
					})
					if err != nil {
						t.Fatal(err)
					}
					m := &ticketModel{revoked: make(map[string]bool), before: make(map[string]time.Time)}
					users := rapid.SampledFrom([]string{"a", "b"})
					ids := rapid.SampledFrom([]string{"", "c1", "c2", "c3"})
					ago := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 5 * time.Second})
					mint := func(t *rapid.T, p *auth.Principal, ttl time.Duration) {
						ticket, err := tickets.Mint(t.Context(), Grant{Principal: p, TTL: ttl})
						tooMany := !signed && m.outstanding(p.Name) >= perSubject
						tooLate := !p.Expires.IsZero() && !time.Now().Before(p.Expires.Truncate(time.Second))
						if (err == nil) == (m.refused(p) || tooLate || tooMany) {
							t.Fatalf("minted for %+v: %v", p, err)
						}
						if err != nil {
							if tooMany {
								full++
							}
							return
						}
						if ttl == 0 {
							ttl = 10 * time.Second
						}
						ends := time.Now().Add(ttl)
						if down := ends.Truncate(time.Second); !down.Equal(ends) {
							ends = down.Add(time.Second)
						}
						if !p.Expires.IsZero() && p.Expires.Before(ends) {
							ends = p.Expires.Truncate(time.Second)
						}
						if !ticket.Expires.Equal(ends) {
							t.Fatalf("expires %v instead of %v", ticket.Expires, ends)
						}
						if p.Issued.IsZero() {
							p.Issued = time.Now()
						}
						m.tickets = append(m.tickets, &modelTicket{value: ticket.Value, p: p, expires: ticket.Expires})
					}
					consume := func(t *rapid.T, ticket *modelTicket) {
						good := m.good(ticket)
						p, err := tickets.Consume(t.Context(), ticket.value, "")
						if (err == nil) != good {
							t.Fatalf("%+v is good: %v, but %v", ticket, good, err)
						}
						if err != nil {
							refuses++
							ticket.used = ticket.used || !signed
							return
						}
						lets++
						ticket.used = true
						if p.Name != ticket.p.Name || !p.Expires.Equal(ticket.p.Expires) || !p.Issued.Equal(ticket.p.Issued) ||
							ticket.p.CredentialID != "" && p.CredentialID != ticket.p.CredentialID || p.CredentialID == "" {
							t.Fatalf("%+v came back as %+v", ticket.p, p)
						}
					}
					// Every run begins with the limit, a ticket that lets in
					// and a used one; chance alone meets the limit too rarely.
					for range perSubject + 1 {
						mint(t, &auth.Principal{Name: "a"}, 0)
					}
					consume(t, m.tickets[0])
					consume(t, m.tickets[0])
					t.Repeat(map[string]func(*rapid.T){
						"mint": func(t *rapid.T) {
							p := &auth.Principal{Name: users.Draw(t, "user"), CredentialID: ids.Draw(t, "credential")}
							if rapid.Bool().Draw(t, "dated") {
								p.Issued = time.Now().Add(-ago.Draw(t, "issued"))
							}
							if rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
								p.Expires = time.Now().Add(ago.Draw(t, "left"))
							}
							mint(t, p, time.Duration(rapid.IntRange(0, 10).Draw(t, "ttl"))*time.Second)
						},
						"fill up": func(t *rapid.T) {
							name := users.Draw(t, "user")
							for range perSubject + 1 {
								mint(t, &auth.Principal{Name: name}, 0)
							}
						},
						"consume": func(t *rapid.T) {
							if len(m.tickets) == 0 {
								return
							}
							// Mostly a young one: the old are dead for sure.
							i := len(m.tickets) - 1 - min(rapid.IntRange(0, 12).Draw(t, "age"), len(m.tickets)-1)
							consume(t, m.tickets[i])
						},
						"revoke user": func(t *rapid.T) {
							r := auth.Revocation{User: users.Draw(t, "user"), At: time.Now().Add(-ago.Draw(t, "ago"))}
							if err := store.revocations.Revoke(t.Context(), r); err != nil {
								t.Fatal(err)
							}
							if r.At.After(m.before[r.User]) {
								m.before[r.User] = r.At
							}
							m.change(r.User)
						},
						"revoke credential": func(t *rapid.T) {
							id := rapid.SampledFrom([]string{"c1", "c2"}).Draw(t, "credential")
							if err := store.revocations.Revoke(t.Context(), auth.Revocation{Credential: id}); err != nil {
								t.Fatal(err)
							}
							m.revoked[id] = true
						},
						"bump": func(t *rapid.T) {
							name := users.Draw(t, "user")
							if err := store.revocations.BumpEpoch(t.Context(), name); err != nil {
								t.Fatal(err)
							}
							m.change(name)
						},
						"pass": func(t *rapid.T) {
							pass(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
						},
						"": func(t *rapid.T) {
							s := store.memory
							s.mu.Lock()
							defer s.mu.Unlock()
							n := 0
							for _, list := range s.unused {
								n += len(list)
							}
							if n != s.total || len(s.entries) != len(s.expiry) || !signed && len(s.entries) != s.total+s.dead {
								t.Fatalf("%d unused, %d counted, %d entries, %d in the heap, %d dead", n, s.total, len(s.entries), len(s.expiry), s.dead)
							}
							if p := (&auth.Principal{Name: "a", Issued: start}); store.revocations.Revoked(p) != start.Before(m.before["a"]) {
								t.Fatal("Revoked differs")
							}
						},
					})
				})
				if lets == 0 || refuses == 0 || !signed && full == 0 {
					t.Errorf("%d were let in, %d refused, and %d times there were too many", lets, refuses, full)
				}
			})
		})
	}
}
