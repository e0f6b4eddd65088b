package ticket

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestT4PlusUnusedTicketsDieInTheSameCall(t *testing.T) {
	for name, r := range map[string]auth.Revocation{
		"user":              {User: "alice"},
		"user, in the past": {User: "alice", At: time.Unix(1, 0)},
		"credential":        {Credential: "c"},
	} {
		t.Run(name, func(t *testing.T) {
			bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
				s := tickets.revocations
				grant := Grant{Principal: &auth.Principal{Name: "alice", CredentialID: "c"}}
				before, other := mint(t, tickets, grant).Value, mint(t, tickets, user("bob")).Value
				revoke(t, s, auth.Revocation{Session: "s"})
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
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		pass(time.Hour)
		p := &auth.Principal{Name: "alice", Issued: time.Now().Add(-time.Minute)}
		revoke(t, tickets.revocations, auth.Revocation{User: "alice"})
		_, err := tickets.Mint(t.Context(), Grant{Principal: p})
		if code, _ := status(t, err); code != 401 {
			t.Errorf("minted: %v", err)
		}
	})
}

func TestS11BumpKillsUnusedTickets(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		s := tickets.revocations
		alice, bob := mint(t, tickets, user("alice")).Value, mint(t, tickets, user("bob")).Value
		first := s.Epoch("alice")
		bump(t, s, "alice")
		second := s.Epoch("alice")
		bump(t, s, "alice")
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
		if s.Revoked(&auth.Principal{Name: "alice", Issued: time.Now().Add(-time.Hour)}) {
			t.Error("a new passcode revokes credentials")
		}
	})
}

// A client whose passcode was checked before the passcode changed must not get
// a ticket afterwards.
func TestS11BumpWhileATicketIsBeingMinted(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		grant := user("alice")
		grant.Since = tickets.revocations.Now()
		bump(t, tickets.revocations, "alice")
		_, err := tickets.Mint(t.Context(), grant)
		if code, _ := status(t, err); code != 401 {
			t.Errorf("minted: %v", err)
		}
	})
}

func TestBackendsHaveNoEpoch(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		ticket, err := tickets.MintBackend(t.Context(), string(key('a').Key), Grant{})
		if err != nil {
			t.Fatal(err)
		}
		bump(t, tickets.revocations, "")
		bump(t, tickets.revocations, "ka")
		if got := consumed(t, tickets, ticket.Value, ""); got != "" {
			t.Error(got)
		}
	})
}

func TestStoreIsSafeForConcurrentUse(t *testing.T) {
	state := newState()
	s, tickets := state.revocations, mustTickets(t, state, Options{Rate: -1})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p := &auth.Principal{Name: fmt.Sprint("u", i%2), CredentialID: fmt.Sprint("c", i), Issued: time.Now()}
			for j := range 200 {
				cancel := s.Watch(func(auth.Event) {})
				if ticket, err := tickets.Mint(t.Context(), Grant{Principal: p}); err == nil && j%2 == 0 {
					_, _ = tickets.Consume(t.Context(), ticket.Value, "") // it may have been revoked
				}
				s.Revoked(p)
				switch j % 20 {
				case 0:
					bump(t, s, p.Name)
				case 10:
					if err := s.Revoke(t.Context(), auth.Revocation{User: p.Name}); err != nil {
						t.Error(err)
					}
					p = &auth.Principal{Name: p.Name, Issued: time.Now()}
				}
				cancel()
			}
		})
	}
	testkit.Wait(t, &all)
	for i := range 2 {
		bump(t, s, fmt.Sprint("u", i))
	}
	if memory := state.memory; memory.total != 0 || len(memory.unused) != 0 || len(memory.entries) != len(memory.expiry) || len(memory.entries) != memory.dead {
		t.Errorf("%d unused, %d entries, %d in the heap, %d dead", memory.total, len(memory.entries), len(memory.expiry), memory.dead)
	}
}
