package webflow

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/uuid"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// octetsInUse returns the octets in use.
func octetsInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// An operation that a session waits for takes at most 600 octets, with its ids, its
// places in the maps and in the schedule, and what is known of the session.
func TestMemoryOfAWaitingOperation(t *testing.T) {
	const n = 25_000
	b := brokertest.New(t, broker.Options{})
	f, err := New(b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sessions := make([]string, n) // are the broker's
	for i := range sessions {
		sessions[i] = uuid.NewString()
	}
	nobody := &auth.Principal{}
	before := octetsInUse()
	for i, session := range sessions {
		id, err := f.Open(t.Context(), Operation{ID: fmt.Sprintf("40269145-d91f-4579-badd-%012d", i), Owner: Owner{Anyone: true}})
		if err != nil {
			t.Fatal(err)
		}
		r := &broker.Request{Session: session, Principal: nobody}
		f.mu.Lock()
		c := f.client(r)
		op := f.claim(id, c, r)
		f.register(op, c)
		f.mu.Unlock()
	}
	per := float64(octetsInUse()-before) / n
	if s := f.Stats(); s.Registered != n {
		t.Fatalf("%+v", s)
	}
	t.Logf("%.0f octets", per)
	if per > 600 {
		t.Errorf("a waiting operation takes %.0f octets, want at most 600", per)
	}
	runtime.KeepAlive(sessions)
}
