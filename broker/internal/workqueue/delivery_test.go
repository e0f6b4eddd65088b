package workqueue

import (
	"testing"
	"unsafe"
)

func sameMemory(a, b string) bool { return unsafe.StringData(a) == unsafe.StringData(b) }

// trap 31: an ACK or NACK for a settled message is a normal race.
func TestTrap31LateSettlementIsHarmless(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 1, false)
	put(t, s, "/queue/a", 1)
	first := r.got[0]
	if !first.Nack(&calls{}) {
		t.Fatal("the first Nack settles")
	}
	second := r.got[1] // the same message again, with a handle of its own
	if second.Message() != 1 || second.Attempt() != 2 || !second.Redelivered() {
		t.Fatalf("redelivery: message %d, attempt %d", second.Message(), second.Attempt())
	}
	if first.Ack(&calls{}) || first.Nack(&calls{}) || first.AckThrough(&calls{}) != 0 || first.NackThrough(&calls{}) != 0 {
		t.Fatal("a stale handle settled something")
	}
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 1, Bytes: 1, Unsettled: 1, Consumers: 1})
	if !second.Ack(&calls{}) || second.Ack(&calls{}) {
		t.Fatal("the handle of the redelivery settles, once")
	}

	put(t, s, "/queue/a", 2)
	late := r.got[2]
	k.Close(&calls{})
	if late.Ack(&calls{}) || late.Nack(&calls{}) {
		t.Fatal("an Ack after Close settled something")
	}
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 1, Bytes: 1})
	if late.Message() != 2 {
		t.Fatal("a settled handle keeps its message")
	}
}

// trap 28: the cumulative ACK covers what one subscription got before, and
// nothing of another one.
func TestTrap28AckThroughIsPerConsumer(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	a, b := &desk{room: plenty}, &desk{room: plenty}
	consume(t, s, "/queue/a", a, 3, false)
	consume(t, s, "/queue/a", b, 3, false)
	put(t, s, "/queue/a", 1, 2, 3, 4, 5, 6, 7, 8)
	wantMessages(t, "a", a, 1, 3, 5)
	if n := a.got[1].AckThrough(&calls{}); n != 2 {
		t.Fatalf("settled %d, want messages 1 and 3", n)
	}
	wantMessages(t, "a", a, 1, 3, 5, 7, 8)
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 6, Bytes: 6, Unsettled: 6, Consumers: 2})
	if a.got[0].Ack(&calls{}) || !a.got[2].Ack(&calls{}) || !b.got[0].Ack(&calls{}) {
		t.Fatal("only messages 1 and 3 were settled")
	}
}

// trap 30: the cumulative NACK; returned messages keep their order.
func TestTrap30NackThrough(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	a, b := &desk{room: plenty}, &desk{}
	consume(t, s, "/queue/a", a, 4, false)
	put(t, s, "/queue/a", 1, 2, 3, 4, 5)
	a.room = 0
	if n := a.got[2].NackThrough(&calls{}); n != 3 {
		t.Fatalf("settled %d, want 3", n)
	}
	b.room = plenty
	consume(t, s, "/queue/a", b, 0, false)
	wantMessages(t, "b", b, 1, 2, 3, 5)
	if b.got[2].Attempt() != 2 || b.got[3].Attempt() != 1 {
		t.Fatal("a NACK counts an attempt for what it covers, and for nothing else")
	}
}

func TestNackPrefersAnotherConsumer(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	a, b := &desk{room: plenty}, &desk{room: 1}
	consume(t, s, "/queue/a", a, 0, false)
	consume(t, s, "/queue/a", b, 0, false)
	put(t, s, "/queue/a", 1, 2) // it is a's turn again
	a.got[0].Nack(&calls{})     // b is asked first, and has no room
	wantMessages(t, "a", a, 1, 1)
	wantMessages(t, "b", b, 2)

	s = New[int, *calls](Limits{}, nil)
	a, b = &desk{room: plenty}, &desk{room: plenty}
	consume(t, s, "/queue/a", a, 0, false)
	consume(t, s, "/queue/a", b, 0, false)
	put(t, s, "/queue/a", 1, 2)
	a.got[0].Nack(&calls{})
	wantMessages(t, "a", a, 1)
	wantMessages(t, "b", b, 2, 1)
	put(t, s, "/queue/a", 3) // a did not lose its turn
	wantMessages(t, "a", a, 1, 3)
}

func TestReturnedGoBeforeNewer(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	r := &desk{room: 3}
	k := consume(t, s, "/queue/a", r, 0, false)
	put(t, s, "/queue/a", 1, 2, 3, 4, 5)
	r.got[2].Nack(&calls{}) // the consumer is parked: its room is used up
	r.got[0].Nack(&calls{})
	r.got[1].Nack(&calls{})
	r.room = plenty
	k.Resume(&calls{})
	wantMessages(t, "consumer", r, 1, 2, 3, 1, 2, 3, 4, 5)
}
