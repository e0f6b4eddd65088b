package ticket

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestT3TicketCarriesThePrincipal(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		now := time.Now()
		p := &auth.Principal{
			Name: "alice", Roles: []string{"service"}, Scopes: []string{"stomp"}, CredentialID: "jti-1",
			Claims: map[string]any{"org": "acme", "admin": true, "teams": []any{"a", "b"}},
			Issued: now.Add(-time.Minute).UTC(), Expires: now.Add(time.Hour).UTC(),
		}
		ticket := mint(t, tickets, Grant{Principal: p, Operation: "op/1"})
		if !ticket.Expires.Equal(now.Add(300 * time.Second)) {
			t.Errorf("expires %v", ticket.Expires)
		}
		got, err := tickets.Consume(t.Context(), ticket.Value, "")
		if err != nil {
			t.Fatal(err)
		}
		want := *p
		want.Method = "ticket"
		want.Scopes = []string{"stomp", "operation:op/1"} // T-13
		if !reflect.DeepEqual(got, &want) {
			t.Errorf("got  %#v\nwant %#v", got, &want)
		}
		bare, err := tickets.Consume(t.Context(), mint(t, tickets, user("alice")).Value, "")
		if err != nil || !bare.Issued.Equal(now) || !strings.HasPrefix(bare.CredentialID, "ticket:") || len(bare.CredentialID) != 39 {
			t.Errorf("without a time and an id: %+v, %v", bare, err)
		}
		if len(p.Scopes) != 1 || got == p {
			t.Error("the principal that was given has changed, or is the one that came back")
		}
	})
}

func TestTicketClaimsStayWhatTheyAre(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		p := &auth.Principal{Name: "alice", Claims: map[string]any{
			"n": float64(42), "frac": 1.5, "huge": float64(1 << 60), "int64": int64(1) << 60, "obj": map[string]any{}, "list": []any{float64(7)},
		}}
		ticket := mint(t, tickets, Grant{Principal: p})
		got, err := tickets.Consume(t.Context(), ticket.Value, "")
		if err != nil {
			t.Fatal(err)
		}
		for name := range p.Claims {
			a, ok := p.Claim(name)
			b, okay := got.Claim(name)
			if name == "huge" {
				okay, b = false, "" // JSON does not say that it had been rounded
			}
			if a != b || ok != okay {
				t.Errorf("%s: %q and %q", name, a, b)
			}
		}
		if !got.HasClaim("list", "7") {
			t.Error("the list is gone")
		}
	})
}

func TestT5EveryFailureLooksTheSame(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		good := mint(t, tickets, user("alice")).Value
		for _, c := range []struct{ value, want string }{
			{"", "malformed"},
			{"x", "malformed"},
			{good + "=", "malformed"},
			{good + "\n", "malformed"},
			{" " + good, "malformed"},
			{strings.Repeat("A", 5000), "malformed"},
			{strings.Repeat("v1.", 2000), "malformed"},
			{"v1.ka.e30." + strings.Repeat("A", 43), "malformed"},
		} {
			want := c.want
			if tickets.signed && strings.HasPrefix(c.value, "v1.") { // the log says more, and the client reads the same
				want = wrongSignature
			}
			if len(c.value) > MaxBytes {
				want = "malformed"
			}
			if got := consumed(t, tickets, c.value, ""); got != want {
				t.Errorf("%.20q: %s", c.value, got)
			}
		}
		if !tickets.signed {
			if got := consumed(t, tickets, strings.Repeat("A", 43), ""); got != "unknown" {
				t.Errorf("an invented one: %s", got)
			}
		}
		if got := consumed(t, tickets, good, ""); got != "alice" {
			t.Errorf("the good one: %s", got)
		}
	})
}

func TestT6SecondUse(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		value := mint(t, tickets, user("alice")).Value
		if got := consumed(t, tickets, value, ""); got != "alice" {
			t.Fatal(got)
		}
		other := mustTickets(t, stateOf(tickets), Options{Signed: tickets.signed, Secrets: []Secret{key('a')}})
		for _, wait := range []time.Duration{0, time.Millisecond, time.Minute} {
			pass(wait)
			for _, node := range []*Issuer{tickets, other} {
				if got := consumed(t, node, value, ""); got != "used before" {
					t.Errorf("%v later: %s", wait, got)
				}
			}
		}
		pass(time.Hour)
		for range 20 {
			mint(t, tickets, Grant{Principal: &auth.Principal{Name: "bob"}}) // and what is outdated goes
		}
		if got := consumed(t, tickets, value, ""); got != "unknown" && got != "expired" {
			t.Errorf("an hour later: %s", got)
		}
	})
}

func TestT7OneOfAThousand(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			store := newState()
			var nodes [3]*Issuer
			for i := range nodes {
				nodes[i] = mustTickets(t, store, Options{Signed: signed, Secrets: []Secret{key('a')}})
			}
			value := mint(t, nodes[0], user("alice")).Value
			var in, used atomic.Int32
			var all sync.WaitGroup
			start := make(chan struct{})
			for i := range 1000 {
				all.Go(func() {
					<-start
					switch p, err := nodes[i%3].Consume(t.Context(), value, ""); {
					case err == nil && p.Name == "alice":
						in.Add(1)
					case verdictOf(t, p, err) == "used before":
						used.Add(1)
					}
				})
			}
			close(start)
			testkit.Wait(t, &all)
			if in.Load() != 1 || used.Load() != 999 {
				t.Errorf("%d were let in and %d refused", in.Load(), used.Load())
			}
		})
	}
}

// Several goroutines consume the same tickets in the same order, so that they
// compete for each: with separate check and kill, two would succeed for some
// ticket.
func TestT7ManyTicketsAtTheSameMoment(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			const n, rivals = 2000, 4
			// About a hundred rounds, and few on a slow machine or with the
			// race detector.
			for end, round := time.Now().Add(time.Second), 0; round < 3 || time.Now().Before(end); round++ {
				tickets := mustTickets(t, newState(), Options{Signed: signed, Secrets: []Secret{key('a')}, Rate: -1, PerSubject: -1})
				values := make([]string, n)
				for i := range values {
					values[i] = mint(t, tickets, user("alice")).Value
				}
				in := make([]atomic.Int32, n)
				var ready atomic.Int32
				var all sync.WaitGroup
				for range rivals {
					all.Go(func() {
						for ready.Add(1); ready.Load() < rivals; {
							runtime.Gosched() // all leave in the same moment
						}
						for i, value := range values {
							if _, err := tickets.Consume(t.Context(), value, ""); err == nil {
								in[i].Add(1)
							}
						}
					})
				}
				testkit.Wait(t, &all)
				for i := range in {
					if in[i].Load() != 1 {
						t.Fatalf("%d of %d were let in with one ticket", in[i].Load(), rivals)
					}
				}
			}
		})
	}
}

// With separate check and kill, two callers would succeed here, and not by
// luck: a mutex that a goroutine has waited for longer than 1 ms, and found
// locked again, is handed over in the order of waiting. The next rival
// therefore gets between the two steps, wherever the lock is released.
func TestT7RivalsComeBetweenLookingAndKilling(t *testing.T) {
	const rivals, rounds, handover = 4, 100, 1500 * time.Microsecond
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			tickets := mustTickets(t, newState(), Options{Signed: signed, Secrets: []Secret{key('a')}, Rate: -1, PerSubject: -1})
			store := memoryOf(tickets)
			for range rounds {
				take := takes(t, tickets, mint(t, tickets, user("alice")).Value)
				var in, started atomic.Int32
				var all sync.WaitGroup
				store.mu.Lock()
				for range rivals {
					all.Go(func() {
						started.Add(1)
						if take() == nil {
							in.Add(1)
						}
					})
				}
				for started.Load() < rivals {
					runtime.Gosched()
				}
				time.Sleep(handover) // a round in which some are late proves less, and fails nothing
				store.mu.Unlock()
				store.mu.Lock()
				time.Sleep(handover)
				store.mu.Unlock()
				testkit.Wait(t, &all)
				if in.Load() != 1 {
					t.Fatalf("%d of %d were let in with one ticket", in.Load(), rivals)
				}
			}
		})
	}
}

// takes returns the function that redeems a ticket, from the first lock that
// decides.
func takes(t *testing.T, tickets *Issuer, value string) func() error {
	t.Helper()
	if !tickets.signed {
		return func() error {
			_, err := tickets.store.Take(t.Context(), sha256.Sum256([]byte(value)))
			return err
		}
	}
	m, cause := tickets.verify(value)
	if cause != 0 {
		t.Fatal("the ticket is not good: ", cause)
	}
	if err := tickets.awaitCreation(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return func() error {
		return tickets.store.Spend(t.Context(), Use{sha256.Sum256(m.Nonce), m.created(), m.expires()}, tickets.limits)
	}
}

func TestT8ExpiryIsExact(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		pass(1234567 * time.Microsecond)
		for _, c := range []struct {
			from time.Duration
			want string
		}{
			{-time.Second, "alice"}, {-time.Nanosecond, "alice"}, {0, "expired"}, {time.Second, "expired"},
		} {
			ticket := mint(t, tickets, user("alice"))
			if left := time.Until(ticket.Expires); ticket.Expires.Nanosecond() != 0 || left < 300*time.Second || left >= 301*time.Second {
				t.Fatalf("expires %v from now", left)
			}
			pass(time.Until(ticket.Expires) + c.from)
			if got := consumed(t, tickets, ticket.Value, ""); got != c.want {
				t.Errorf("%v from the expiry: %s", c.from, got)
			}
		}
	})
}

func TestS7Lifetime(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		value := mint(t, tickets, user("alice")).Value
		pass(301 * time.Second)
		if got := consumed(t, tickets, value, ""); got != "expired" {
			t.Error(got)
		}
		short := mint(t, tickets, Grant{Principal: &auth.Principal{Name: "alice"}, TTL: 2 * time.Second}).Value
		pass(2 * time.Second)
		if got := consumed(t, tickets, short, ""); got != "expired" {
			t.Error(got)
		}
		for _, ttl := range []time.Duration{-1, 300*time.Second + 1} {
			if _, err := tickets.Mint(t.Context(), Grant{Principal: &auth.Principal{Name: "alice"}, TTL: ttl}); err != ErrTTL {
				t.Errorf("%v: %v", ttl, err)
			}
		}
	})
}

// The credential's expiry ends the session, not the ticket's expiry, and no
// ticket outlives its credential.
func TestTicketDiesWithTheCredential(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		p := &auth.Principal{Name: "alice", Expires: time.Now().Add(10 * time.Second)}
		first, second := mint(t, tickets, Grant{Principal: p}), mint(t, tickets, Grant{Principal: p})
		got, err := tickets.Consume(t.Context(), first.Value, "")
		if err != nil || !got.Expires.Equal(p.Expires) {
			t.Errorf("got %v, %v", got, err)
		}
		if !first.Expires.Equal(p.Expires) {
			t.Errorf("the ticket says that it lives until %v", first.Expires)
		}
		pass(10 * time.Second)
		if got := consumed(t, tickets, second.Value, ""); got != "expired" {
			t.Error(got)
		}
		for _, left := range []time.Duration{0, 999 * time.Millisecond} { // expires is a whole second
			_, err = tickets.Mint(t.Context(), Grant{Principal: &auth.Principal{Name: "alice", Expires: time.Now().Add(left)}})
			if code, _ := status(t, err); code != 401 {
				t.Error(err)
			}
		}
	})
}

func TestT9TicketIsRandom(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{Rate: -1, PerSubject: -1})
	seen := make(map[string]bool)
	var ones [256]int
	for range 1000 {
		value := mint(t, tickets, user("alice")).Value
		raw, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil || len(raw) != 32 || len(value) != 43 || seen[value] {
			t.Fatalf("%q: %v", value, err)
		}
		seen[value] = true
		for bit := range ones {
			ones[bit] += int(raw[bit/8] >> (bit % 8) & 1)
		}
	}
	for bit, n := range ones {
		if n < 380 || n > 620 { // more than seven standard deviations
			t.Errorf("bit %d is set in %d of 1000", bit, n)
		}
	}
}

// A ticket needs no escaping in a URL's query and is a token (RFC 9110 section
// 5.6.2).
func TestT9TicketNeedsNoEscaping(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		value := mint(t, tickets, user("Ünï/?&=")).Value
		if rest := strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."); rest != "" {
			t.Errorf("has %q", rest)
		}
	})
}

func TestN10UnusedTicketsAreForgotten(t *testing.T) {
	bothForms(t, Options{Rate: -1, PerSubject: -1}, func(t *testing.T, tickets *Issuer) {
		for range 1000 {
			value := mint(t, tickets, user("alice")).Value
			if tickets.signed {
				consumed(t, tickets, value, "")
			}
		}
		s := memoryOf(tickets)
		if len(s.entries) != 1000 {
			t.Fatalf("%d entries", len(s.entries))
		}
		pass(301 * time.Second)
		for range 200 {
			value := mint(t, tickets, user("bob")).Value
			if got := consumed(t, tickets, value, ""); got != "bob" {
				t.Fatal(got)
			}
		}
		if len(s.entries) != 200 || len(s.expiry) != 200 || s.total != 0 || len(s.unused) != 0 {
			t.Errorf("%d entries, %d in the heap, %d unused of %d", len(s.entries), len(s.expiry), s.total, len(s.unused))
		}
	})
}

func TestT13OperationScope(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		bound := &auth.Principal{Name: "alice", Scopes: []string{"stomp", "operation:a"}}
		if _, err := tickets.Mint(t.Context(), Grant{Principal: bound, Operation: "b"}); err != ErrOperation {
			t.Errorf("a session for one operation gets a ticket for another: %v", err)
		}
		for _, operation := range []string{"", "a"} {
			ticket := mint(t, tickets, Grant{Principal: bound, Operation: operation})
			if p, err := tickets.Consume(t.Context(), ticket.Value, ""); err != nil || !reflect.DeepEqual(p.Scopes, bound.Scopes) {
				t.Errorf("%q: %v, %v", operation, p, err)
			}
		}
		for _, operation := range []string{"a\nb", "\x00", "\xff", strings.Repeat("x", 257)} {
			if _, err := tickets.Mint(t.Context(), Grant{Principal: &auth.Principal{Name: "alice"}, Operation: operation}); err != ErrOperation {
				t.Errorf("%.10q: %v", operation, err)
			}
		}
		mint(t, tickets, Grant{Principal: &auth.Principal{Name: "alice"}, Operation: strings.Repeat("x", 256)})
	})
}

func TestS3S4UserAndBackendTickets(t *testing.T) {
	bothForms(t, Options{Secrets: []Secret{key('a'), key('b')}}, func(t *testing.T, tickets *Issuer) {
		for id, secret := range map[string]Secret{"backend:ka": key('a'), "backend:kb": key('b')} {
			ticket, err := tickets.MintBackend(t.Context(), string(secret.Key), Grant{Operation: "x", Principal: &auth.Principal{Name: "mallory"}})
			if err != nil {
				t.Fatal(err)
			}
			p, err := tickets.Consume(t.Context(), ticket.Value, "")
			if err != nil || !p.Anonymous() || !p.HasRole(auth.RoleBackend) || !p.HasScope("operation:x") || p.CredentialID != id || p.Issued.IsZero() {
				t.Errorf("got %+v, %v", p, err)
			}
		}
		for _, wrong := range []string{"", "ka", string(key('a').Key) + "a", string(key('c').Key)} {
			_, err := tickets.MintBackend(t.Context(), wrong, Grant{})
			if code, _ := status(t, err); code != 401 {
				t.Errorf("%.10q: %v", wrong, err)
			}
		}
		if err := tickets.revocations.Revoke(t.Context(), auth.Revocation{Credential: "backend:ka"}); err != nil {
			t.Fatal(err)
		}
		_, err := tickets.MintBackend(t.Context(), string(key('a').Key), Grant{})
		if code, _ := status(t, err); code != 401 {
			t.Errorf("a revoked secret: %v", err)
		}
	})
}

func TestS5NobodyGetsNoTicket(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	if _, err := tickets.MintBackend(t.Context(), "", Grant{}); err != ErrNoSecret {
		t.Errorf("no secret configured: %v", err)
	}
	for _, p := range []*auth.Principal{nil, {}, {Name: " "}, {Name: "a\nb"}, {Roles: []string{auth.RoleBackend}}} {
		if ticket, err := tickets.Mint(t.Context(), Grant{Principal: p}); err != ErrNobody || ticket.Value != "" {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if _, err := tickets.Mint(cancelled(), user("alice")); !errors.Is(err, context.Canceled) {
		t.Errorf("minted too late: %v", err)
	}
	value := mint(t, tickets, user("alice")).Value
	if _, err := tickets.Consume(cancelled(), value, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("consumed too late: %v", err)
	}
	if got := consumed(t, tickets, value, ""); got != "alice" {
		t.Errorf("what came too late has used the ticket: %s", got)
	}
}
