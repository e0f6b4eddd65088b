package ticket

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// An unused ticket takes the memory that Options.MaxOutstanding states,
// and a used one takes less, whether it is opaque and remembered for the log or
// signed and remembered so that it stays invalid.
func TestTicketsHoldWhatIsDocumented(t *testing.T) {
	const n, most = 20_000, 600
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprint("signed=", signed), func(t *testing.T) {
			tickets := mustTickets(t, newState(), Options{Signed: signed, Secrets: []Secret{key('a')}, Rate: -1, PerSubject: -1, MaxOutstanding: -1})
			values := make([]string, n)
			for i := range values {
				values[i] = fmt.Sprintf("user%08d", i)
			}
			before := testkit.Heap()
			for i, name := range values {
				values[i] = mint(t, tickets, user(name)).Value
			}
			text := int64(len(values[0])) // of the test's own
			held := (testkit.Heap()-before)/n - text
			if held > most {
				t.Errorf("an unused ticket holds %d bytes, at most %d may be held", held, most)
			}
			for _, v := range values {
				if _, err := tickets.Consume(t.Context(), v, ""); err != nil {
					t.Fatal(err)
				}
			}
			used := (testkit.Heap()-before)/n - text
			t.Logf("%d bytes, used %d", held, used)
			if used > most {
				t.Errorf("a used ticket holds %d bytes, at most %d may be held", used, most)
			}
			runtime.KeepAlive(tickets)
			runtime.KeepAlive(values)
		})
	}
}

// heavy returns a grant for a user with claims of its own, of some 100 KiB in
// memory.
func heavy(name string) Grant {
	g := user(name)
	groups := make([]any, 1000)
	for i := range groups {
		groups[i] = fmt.Sprintf("%s is in the group of the number %060d", name, i)
	}
	g.Principal.Claims = map[string]any{"groups": groups}
	return g
}

// The principals of unused tickets are bounded in bytes: of one user, who cannot
// take the room of others, and in all.
func TestPrincipalsOfTicketsAreBounded(t *testing.T) {
	const users, limit = 40, 2 << 20 // bytes: 512 tickets of 4 KiB
	tickets := mustTickets(t, newState(), Options{Rate: -1, PerSubject: 100, MaxOutstanding: limit / averagePrincipal})
	minted := func(name string) (n int) {
		for ; n < 100; n++ {
			if _, err := tickets.Mint(t.Context(), heavy(name)); err != nil {
				if code, wait := status(t, err); code != 429 || wait <= 0 {
					t.Fatalf("%v after %v", err, wait)
				}
				break
			}
		}
		return n
	}
	before := testkit.Heap()
	if n := minted("alice"); n < 2 || n > 4 {
		t.Errorf("a user has %d tickets of 100 KiB, want what fits in %d bytes", n, tickets.limits.SubjectBytes)
	}
	mint(t, tickets, user("alice")) // a small one fits
	if n := minted("bob"); n < 2 {
		t.Errorf("another user has %d tickets", n)
	}
	total := 0
	for i := range users {
		total += minted(fmt.Sprint("user", i))
	}
	held := testkit.Heap() - before
	t.Logf("%d bytes are held, %d are counted", held, memoryOf(tickets).bytes)
	if most := int64(limit + limit/4); held > most {
		t.Errorf("%d bytes are held, at most %d may be", held, most)
	}
	if total < 10 || total == 100*users {
		t.Errorf("%d further tickets", total)
	}
	mint(t, tickets, Grant{Principal: &auth.Principal{Name: "small"}}) // what is left has room for it
	for _, e := range memoryOf(tickets).entries {
		if e.Principal != nil {
			memoryOf(tickets).kill(e, Revoked)
		}
	}
	if n := memoryOf(tickets).bytes; n != 0 {
		t.Errorf("%d bytes are counted without a ticket", n)
	}
	runtime.KeepAlive(tickets)
}
