package auth

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func revoke(t testing.TB, s *Store, r Revocation) {
	t.Helper()
	if err := s.Revoke(r); err != nil {
		t.Fatal(err)
	}
}

func TestRevocationNamesOneThing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore()
		s.Watch(func(r Revocation) { t.Errorf("told of %+v", r) })
		for _, r := range []Revocation{
			{}, {User: "a", Session: "b"}, {User: "a", Credential: "b"}, {Session: "a", Credential: "b"}, {User: "a", Session: "b", Credential: "c"},
		} {
			if err := s.Revoke(r); err != ErrRevocation {
				t.Errorf("%+v: %v", r, err)
			}
		}
		if err := s.Revoke(Revocation{User: "a", At: time.Now().Add(MaxClockSkew + 1)}); err != ErrRevocationTime {
			t.Error(err)
		}
		if s.Revoked(&Principal{Name: "a", Issued: time.Now().Add(-time.Hour)}) || s.Epoch("a") != 0 {
			t.Error("a revocation that failed took effect")
		}
	})
}

func TestT4PlusRevokedUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, now := NewStore(), time.Now()
		revoke(t, s, Revocation{User: "alice"})
		revoke(t, s, Revocation{User: "alice", At: now.Add(-time.Hour)}) // does not take the first one back
		revoke(t, s, Revocation{User: "bob", At: now.Add(-time.Hour)})
		revoke(t, s, Revocation{User: "carol", At: now.Add(MaxClockSkew)})
		for _, c := range []struct {
			p    *Principal
			want bool
		}{
			{nil, false},
			{&Principal{}, false},
			{&Principal{Issued: now.Add(-time.Hour)}, false},
			{&Principal{Name: "alice", Issued: now.Add(-time.Nanosecond)}, true},
			{&Principal{Name: "alice", Issued: now}, false},
			{&Principal{Name: "alice"}, false}, // nobody knows when it was issued
			{&Principal{Name: "Alice", Issued: now.Add(-time.Hour)}, false},
			{&Principal{Name: "bob", Issued: now.Add(-time.Minute)}, false},
			{&Principal{Name: "bob", Issued: now.Add(-2 * time.Hour)}, true},
			{&Principal{Name: "carol", Issued: now.Add(MaxClockSkew - 1)}, true},
		} {
			if got := s.Revoked(c.p); got != c.want {
				t.Errorf("%+v: %v", c.p, got)
			}
		}
	})
}

func TestN8RevokedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore()
		revoke(t, s, Revocation{Credential: "long", Until: time.Now().Add(48 * time.Hour)})
		revoke(t, s, Revocation{Credential: "long", Until: time.Now().Add(2 * time.Hour)}) // does not shorten it
		revoke(t, s, Revocation{Credential: "short", Until: time.Now().Add(time.Minute)})
		revoke(t, s, Revocation{Credential: "unknown"})
		is := func(id string, want bool) {
			t.Helper()
			if got := s.Revoked(&Principal{Name: "alice", CredentialID: id}); got != want {
				t.Errorf("%s: %v", id, got)
			}
		}
		is("long", true)
		is("short", true)
		is("unknown", true)
		is("other", false)
		is("", false)
		pass(59 * time.Minute) // a ticket minted with it may still be there
		is("short", true)
		pass(46 * time.Hour)
		is("short", false)
		is("long", true)
		is("unknown", true)
		pass(1000 * 24 * time.Hour)
		is("long", false)
		is("unknown", true)
	})
}

func TestRevokedCredentialsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore()
		for i := range 10_000 {
			revoke(t, s, Revocation{Credential: fmt.Sprint(i), Until: time.Now()})
			pass(time.Minute)
		}
		if n := s.credentials.Len(); n > 200 {
			t.Errorf("%d are remembered, and 60 matter", n)
		}
	})
}

func TestT4PlusUnusedTicketsDieInTheSameCall(t *testing.T) {
	for name, r := range map[string]Revocation{
		"user":              {User: "alice"},
		"user, in the past": {User: "alice", At: time.Unix(1, 0)},
		"credential":        {Credential: "c"},
	} {
		t.Run(name, func(t *testing.T) {
			bothForms(t, TicketOptions{}, func(t *testing.T, tickets *Tickets) {
				s := tickets.store
				grant := Grant{Principal: &Principal{Name: "alice", CredentialID: "c"}}
				before, other := mint(t, tickets, grant).Value, mint(t, tickets, user("bob")).Value
				revoke(t, s, Revocation{Session: "s"})
				revoke(t, s, r)
				if got := consumed(t, tickets, before, ""); got != "revoked" {
					t.Errorf("minted before: %s", got)
				}
				if got := consumed(t, tickets, other, ""); got != "bob" {
					t.Errorf("somebody else's: %s", got)
				}
				if r.User != "" { // in the very same instant, and afterwards
					if got := consumed(t, tickets, mint(t, tickets, grant).Value, ""); got != "alice" {
						t.Errorf("minted afterwards: %s", got)
					}
					return
				}
				_, err := tickets.Mint(t.Context(), grant)
				if code, _ := status(t, err); code != 401 {
					t.Errorf("minted with a revoked credential: %v", err)
				}
			})
		})
	}
}

// The other order: the revocation rejects the credential behind the ticket.
func TestTicketOfARevokedCredentialIsRefusedLater(t *testing.T) {
	bothForms(t, TicketOptions{}, func(t *testing.T, tickets *Tickets) {
		pass(time.Hour)
		p := &Principal{Name: "alice", Issued: time.Now().Add(-time.Minute)}
		revoke(t, tickets.store, Revocation{User: "alice"})
		_, err := tickets.Mint(t.Context(), Grant{Principal: p})
		if code, _ := status(t, err); code != 401 {
			t.Errorf("minted: %v", err)
		}
	})
}

func TestS11BumpKillsUnusedTickets(t *testing.T) {
	bothForms(t, TicketOptions{}, func(t *testing.T, tickets *Tickets) {
		s := tickets.store
		alice, bob := mint(t, tickets, user("alice")).Value, mint(t, tickets, user("bob")).Value
		first := s.Epoch("alice")
		s.BumpEpoch("alice")
		second := s.Epoch("alice")
		s.BumpEpoch("alice")
		if first != 0 || second <= first || s.Epoch("alice") <= second || s.Epoch("bob") != 0 {
			t.Error("the epochs do not grow, or the wrong ones do")
		}
		if got := consumed(t, tickets, alice, ""); got != "revoked" {
			t.Error(got)
		}
		if got := consumed(t, tickets, bob, ""); got != "bob" {
			t.Error(got)
		}
		if got := consumed(t, tickets, mint(t, tickets, user("alice")).Value, ""); got != "alice" {
			t.Error(got)
		}
		if s.Revoked(&Principal{Name: "alice", Issued: time.Now().Add(-time.Hour)}) {
			t.Error("a new passcode revokes credentials")
		}
	})
}

// A client whose passcode was checked before the passcode changed must not get
// a ticket afterwards.
func TestS11BumpWhileATicketIsBeingMinted(t *testing.T) {
	bothForms(t, TicketOptions{}, func(t *testing.T, tickets *Tickets) {
		since := tickets.store.now()
		tickets.store.BumpEpoch("alice")
		_, err := tickets.mintFor(t.Context(), user("alice"), since, nil)
		if code, _ := status(t, err); code != 401 {
			t.Errorf("minted: %v", err)
		}
	})
}

func TestBackendsHaveNoEpoch(t *testing.T) {
	bothForms(t, TicketOptions{}, func(t *testing.T, tickets *Tickets) {
		ticket, err := tickets.MintBackend(t.Context(), string(key('a').Key), Grant{})
		if err != nil {
			t.Fatal(err)
		}
		tickets.store.BumpEpoch("")
		tickets.store.BumpEpoch("ka")
		if got := consumed(t, tickets, ticket.Value, ""); got != "" {
			t.Error(got)
		}
	})
}

func TestWatchIsToldBeforeRevokeReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, now := NewStore(), time.Now()
		var told []string
		watch := func(name string) func() {
			return s.Watch(func(r Revocation) {
				if r.Credential != "" && !s.Revoked(&Principal{CredentialID: r.Credential}) {
					t.Error("told before it took effect")
				}
				told = append(told, fmt.Sprint(name, r.User, r.Session, r.Credential, r.At.Sub(now)))
			})
		}
		first, second := watch("1"), watch("2")
		revoke(t, s, Revocation{User: "u"})
		first()
		first()
		revoke(t, s, Revocation{Session: "s", At: now.Add(-time.Second)})
		second()
		third := watch("3")
		revoke(t, s, Revocation{Credential: "c"})
		third()
		revoke(t, s, Revocation{Session: "s"})
		if want := []string{"1u0s", "2u0s", "2s-1s", "3c0s"}; !slices.Equal(told, want) {
			t.Errorf("told %q", told)
		}
		if len(s.watchers) != 0 {
			t.Error("watchers are kept")
		}
	})
}

// A watcher may call Watch, cancel and Revoke.
func TestWatchersMayCallTheStore(t *testing.T) {
	s := NewStore()
	calls := 0
	var cancel func()
	cancel = s.Watch(func(r Revocation) {
		calls++
		cancel()
		s.Watch(func(Revocation) { calls += 10 })
		if err := s.Revoke(Revocation{Session: "other"}); err != nil {
			t.Error(err)
		}
	})
	revoke(t, s, Revocation{Session: "one"})
	if calls != 11 {
		t.Errorf("%d", calls)
	}
}

func TestStoreIsSafeForConcurrentUse(t *testing.T) {
	s := NewStore()
	tickets := mustTickets(t, s, TicketOptions{Rate: -1})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p := &Principal{Name: fmt.Sprint("u", i%2), CredentialID: fmt.Sprint("c", i), Issued: time.Now()}
			for j := range 200 {
				cancel := s.Watch(func(Revocation) {})
				if ticket, err := tickets.Mint(t.Context(), Grant{Principal: p}); err == nil && j%2 == 0 {
					_, _ = tickets.Consume(t.Context(), ticket.Value, "") // it may have been revoked
				}
				s.Revoked(p)
				switch j % 20 {
				case 0:
					s.BumpEpoch(p.Name)
				case 10:
					if err := s.Revoke(Revocation{User: p.Name}); err != nil {
						t.Error(err)
					}
					p = &Principal{Name: p.Name, Issued: time.Now()}
				}
				cancel()
			}
		})
	}
	testkit.Wait(t, &all)
	for i := range 2 {
		s.BumpEpoch(fmt.Sprint("u", i))
	}
	if memory := &s.tickets; memory.total != 0 || len(memory.unused) != 0 || len(memory.entries) != len(memory.expiry) || len(memory.entries) != memory.dead {
		t.Errorf("%d unused, %d entries, %d in the heap, %d dead", memory.total, len(memory.entries), len(memory.expiry), memory.dead)
	}
}
