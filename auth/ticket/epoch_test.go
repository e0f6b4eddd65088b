package ticket

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Whatever the order in which slow stores answer: a ticket lets in once, never
// when its user's epoch has moved between minting and use, and always when it has
// not.
func TestEpochsAndTicketsInAnyOrder(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tickets, store := withStore(t, signed)
				var n atomic.Uint32
				delay := func(context.Context, string) error {
					x := n.Add(1) * 2654435761 // Knuth's multiplicative hash
					pass(time.Duration(x>>24) * time.Microsecond)
					return nil
				}
				store.before, store.after = delay, delay
				var begun, done atomic.Int64 // epochs
				stop := make(chan struct{})
				go func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						case <-time.After(time.Duration(100+i%7*150) * time.Microsecond):
						}
						begun.Add(1)
						if err := tickets.revocations.BumpEpoch(context.Background(), "alice"); err != nil {
							t.Error(err)
						}
						done.Add(1)
					}
				}()
				good, dead := 0, 0
				for range 2000 {
					before := done.Load()
					ticket, err := tickets.Mint(t.Context(), user("alice"))
					if err != nil {
						if code, _ := status(t, err); code != 401 {
							t.Fatal(err)
						}
						if begun.Load() == before {
							t.Fatal("no ticket, although the epoch has not moved")
						}
						continue
					}
					minted := begun.Load()
					pass(time.Duration(n.Add(1)%5*100) * time.Microsecond)
					moved := done.Load() > minted
					in := make(chan bool, 2)
					for range 2 {
						go func() {
							_, err := tickets.Consume(t.Context(), ticket.Value, "")
							in <- err == nil
						}()
					}
					first, second := <-in, <-in
					unmoved := begun.Load() == before
					switch got := first || second; {
					case first && second:
						t.Fatal("two were let in")
					case got && moved:
						t.Fatal("let in after the epoch had moved")
					case !got && unmoved:
						t.Fatal("not let in although the epoch has not moved")
					case got:
						good++
					default:
						dead++
					}
				}
				close(stop)
				if good < 100 || dead < 100 {
					t.Errorf("%d good, %d dead: the test proves little", good, dead)
				}
			})
		})
	}
}

// A program that checks credentials itself says since when, so that a change
// during the check counts.
func TestGrantSince(t *testing.T) {
	bothForms(t, Options{}, func(t *testing.T, tickets *Issuer) {
		g := user("alice")
		g.Since = tickets.revocations.Now()
		bump(t, tickets.revocations, "bob")
		value := mint(t, tickets, g).Value
		bump(t, tickets.revocations, "alice")
		if _, err := tickets.Mint(t.Context(), g); err == nil {
			t.Error("minted with a credential from before the new epoch")
		}
		if got := consumed(t, tickets, value, ""); got != "revoked" {
			t.Errorf("minted before it: %s", got)
		}
		if got := consumed(t, tickets, mint(t, tickets, user("alice")).Value, ""); got != "alice" {
			t.Errorf("minted without: %s", got)
		}
	})
}

// Two issuers that share a store, but count epochs apart: opaque tickets of the
// other are rejected, and signed ones are judged by their time of creation.
func TestEpochsOfAnotherSource(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := Options{Signed: signed, Secrets: []Secret{key('a')}}
				one := newState()
				here, there := mustTickets(t, one, o), mustTickets(t, state{one.memory, auth.NewRevocations()}, o)
				want := map[bool]string{false: "revoked", true: "alice"}[signed]
				bump(t, there.revocations, "alice")
				bump(t, there.revocations, "alice")
				if got := consumed(t, here, mint(t, there, user("alice")).Value, ""); got != want {
					t.Errorf("before any epoch here: %s, want %s", got, want)
				}
				old := mint(t, there, user("alice")).Value
				pass(time.Second)
				bump(t, here.revocations, "alice") // its first here, and older by number than the ticket's
				if got := consumed(t, here, old, ""); got != "revoked" {
					t.Errorf("signed before the epoch here: %s", got)
				}
				pass(MaxAhead) // the clock there may be ahead
				if got := consumed(t, here, mint(t, there, user("alice")).Value, ""); got != "revoked" {
					t.Errorf("perhaps signed before it: %s", got)
				}
				pass(1)
				if got := consumed(t, here, mint(t, there, user("alice")).Value, ""); got != want {
					t.Errorf("signed after it: %s, want %s", got, want)
				}
				if got := consumed(t, here, mint(t, here, user("alice")).Value, ""); got != "alice" {
					t.Errorf("minted here: %s", got)
				}
			})
		})
	}
}

// Tickets of an older epoch take no room, at once; those of the new one stay.
func TestMemoryDropsTicketsOfOldEpochs(t *testing.T) {
	s := newState()
	tickets := mustTickets(t, s, Options{PerSubject: 2})
	mustTickets(t, s, Options{}) // a second issuer does not follow twice
	first := mint(t, tickets, user("alice")).Value
	bump(t, s.revocations, "alice")
	if s.memory.total != 0 {
		t.Errorf("%d are kept", s.memory.total)
	}
	second := mint(t, tickets, user("alice")).Value
	s.memory.drop("alice", s.revocations.Source(), s.revocations.Epoch("alice")) // an event that comes late
	s.memory.drop("alice", "another source", 1000)
	if got := consumed(t, tickets, first, ""); got != "revoked" {
		t.Errorf("of the old epoch: %s", got)
	}
	if got := consumed(t, tickets, second, ""); got != "alice" {
		t.Errorf("of the new one: %s", got)
	}
	if len(s.memory.followed) != 1 {
		t.Errorf("follows %d", len(s.memory.followed))
	}
}
