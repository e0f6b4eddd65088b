package ticket

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

func unlimited(b testing.TB, signed bool) *Issuer {
	return mustTickets(b, newState(), Options{
		Rate: -1, PerSubject: -1, MaxOutstanding: -1, Signed: signed, Secrets: []Secret{key('a')},
	})
}

func TestConsumeAllocatesNothing(t *testing.T) {
	tickets := unlimited(t, false)
	values := make([]string, 0, 101)
	for range cap(values) {
		values = append(values, mint(t, tickets, user("alice")).Value)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(len(values)-1, func() {
		value := values[len(values)-1]
		values = values[:len(values)-1]
		if _, err := tickets.Consume(ctx, value, ""); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	p := &auth.Principal{Name: "alice", CredentialID: "c", Issued: time.Now()}
	if n := testing.AllocsPerRun(100, func() { tickets.revocations.Revoked(p) }); n != 0 {
		t.Errorf("Revoked: %v allocations", n)
	}
}

func BenchmarkMint(b *testing.B) {
	for _, signed := range []bool{false, true} {
		b.Run(fmt.Sprintf("signed=%v", signed), func(b *testing.B) {
			tickets, grant := unlimited(b, signed), user("alice")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tickets.Mint(b.Context(), grant); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkConsume(b *testing.B) {
	for _, signed := range []bool{false, true} {
		b.Run(fmt.Sprintf("signed=%v", signed), func(b *testing.B) {
			tickets := unlimited(b, signed)
			values := make([]string, b.N)
			for i := range values {
				values[i] = mint(b, tickets, user(fmt.Sprint("user-", i%1000))).Value
			}
			b.ReportAllocs()
			b.ResetTimer()
			for _, value := range values {
				if _, err := tickets.Consume(b.Context(), value, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkConsumeUnknown(b *testing.B) {
	tickets := unlimited(b, false)
	value := mint(b, unlimited(b, false), user("mallory")).Value
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tickets.Consume(b.Context(), value, ""); err == nil {
			b.Fatal("let in")
		}
	}
}

// BenchmarkOutstanding reports the memory of an unused ticket.
func BenchmarkOutstanding(b *testing.B) {
	tickets := unlimited(b, false)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 100_000
	for range b.N {
		for i := range n {
			mint(b, tickets, user(fmt.Sprint("user-", i)))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n*b.N), "B/ticket")
	runtime.KeepAlive(tickets)
}
