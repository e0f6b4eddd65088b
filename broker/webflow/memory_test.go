package webflow

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/uuid"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// An operation that a session waits for takes at most 600 bytes, including its
// ids, its places in the maps and the schedule, and the state of the session.
func TestMemoryOfAWaitingOperation(t *testing.T) {
	const n = 25_000
	b := brokertest.New(t, broker.Options{})
	f, err := New(b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sessions := make([]string, n) // belong to the broker
	for i := range sessions {
		sessions[i] = uuid.NewString()
	}
	nobody := &auth.Principal{}
	before := testkit.Heap()
	for i, session := range sessions {
		id, err := f.Open(t.Context(), Operation{ID: fmt.Sprintf("40269145-d91f-4579-badd-%012d", i), Owner: Owner{Anyone: true}})
		if err != nil {
			t.Fatal(err)
		}
		r := &broker.Request{Session: session, Principal: nobody}
		f.mu.Lock()
		_, err = f.register(f.patient(), id, f.client(session), r)
		f.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	per := float64(testkit.Heap()-before) / n
	if s := f.Stats(); s.Registered != n {
		t.Fatalf("%+v", s)
	}
	t.Logf("%.0f bytes", per)
	if per > 600 {
		t.Errorf("a waiting operation takes %.0f bytes, want at most 600", per)
	}
	runtime.KeepAlive(sessions)
}

// Held replies wait for a session to subscribe; a session holds at most 16 KiB
// of them.
func TestHeldRepliesAreBounded(t *testing.T) {
	const n, most = 20, 16 << 10
	b := brokertest.New(t, broker.Options{})
	f, err := New(b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var clients []*brokertest.Client
	held := func(ids int) int64 {
		before := testkit.Heap()
		for range n {
			c := brokertest.Connect(t, b)
			for i := range ids {
				c.Send("SEND", fmt.Sprintf(`{"webSocketId":"ws-%0252d"}`, i), "destination", "/app/registration")
			}
			c.Sync(t)
			clients = append(clients, c)
		}
		return (testkit.Heap() - before) / n
	}
	held(0) // fills the shared structures
	none, many := held(0), held(100)
	t.Logf("%d and %d bytes", none, many)
	if many-none > most {
		t.Errorf("replies to a session that does not want them hold %d bytes, want at most %d", many-none, most)
	}
	if many-none < 2<<10 {
		t.Errorf("only %d bytes are held: the test does not do what it says", many-none)
	}
	runtime.KeepAlive(clients)
}
