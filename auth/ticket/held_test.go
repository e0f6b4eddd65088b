package ticket

import (
	"fmt"
	"runtime"
	"testing"

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
