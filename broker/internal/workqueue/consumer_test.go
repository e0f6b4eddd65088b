package workqueue

import "testing"

func TestConsumerTakesPartOnlyAfterStart(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	r := &desk{room: plenty}
	k, err := s.Consume("/queue/a", r, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "/queue/a", 1, 2)
	k.Resume(&calls{})
	wantMessages(t, "before Start it", r)
	k.Start(&calls{})
	k.Start(&calls{})
	wantMessages(t, "after Start it", r, 1, 2)
}

func TestFairRoundRobin(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	a, b, c := &desk{room: plenty}, &desk{room: plenty}, &desk{room: plenty}
	for _, r := range []*desk{a, b, c} {
		consume(t, s, "/queue/a", r, 0, false)
	}
	put(t, s, "/queue/a", 1, 2, 3, 4, 5, 6, 7)
	wantMessages(t, "a", a, 1, 4, 7)
	wantMessages(t, "b", b, 2, 5)
	wantMessages(t, "c", c, 3, 6)
}

// A consumer that waits for credit does not lose its turn to one that always
// has credit: after its Ack only those served longer ago precede it.
func TestRoundRobinBetweenThoseWithCredit(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	slow, fast := &desk{room: plenty}, &desk{room: plenty}
	consume(t, s, "/queue/a", slow, 1, false)
	consume(t, s, "/queue/a", fast, 0, false)
	put(t, s, "/queue/a", 1, 2, 3, 4)
	wantMessages(t, "slow", slow, 1)
	wantMessages(t, "fast", fast, 2, 3, 4)
	slow.got[0].Ack(&calls{})
	put(t, s, "/queue/a", 5, 6)
	wantMessages(t, "slow", slow, 1, 6)
	wantMessages(t, "fast", fast, 2, 3, 4, 5)
}

func TestPrefetchBoundsUnsettled(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	r := &desk{room: plenty}
	consume(t, s, "/queue/a", r, 2, false)
	put(t, s, "/queue/a", 1, 2, 3, 4)
	wantMessages(t, "consumer", r, 1, 2)
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 4, Bytes: 4, Unsettled: 2, Consumers: 1})
	r.got[1].Ack(&calls{})
	wantMessages(t, "consumer", r, 1, 2, 3)
	r.got[0].Ack(&calls{})
	wantMessages(t, "consumer", r, 1, 2, 3, 4)
}

func TestAutoSettlesAtOffer(t *testing.T) {
	s := New[int, *calls](Limits{Messages: 1}, nil)
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 1, true)
	put(t, s, "/queue/a", 1, 2, 3) // neither prefetch nor the limit of one message holds it up
	wantMessages(t, "consumer", r, 1, 2, 3)
	if r.got[0].Ack(&calls{}) || r.got[1].Nack(&calls{}) {
		t.Fatal("what was delivered with auto is settled")
	}
	k.Close(&calls{})
	wantEmpty(t, s)
}

func TestParkedConsumerIsNotAskedUntilResume(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	r := &desk{room: 1}
	k := consume(t, s, "/queue/a", r, 0, false)
	put(t, s, "/queue/a", 1)
	c := &calls{}
	for m := 2; m <= 100; m++ {
		if err := s.Put(c, "/queue/a", m, 1); err != nil {
			t.Fatal(err)
		}
	}
	if c.offers != 1 {
		t.Fatalf("99 puts made %d offers, want only the one that parked it", c.offers)
	}
	r.room = 2
	k.Resume(&calls{})
	wantMessages(t, "consumer", r, 1, 2, 3)
	if got := r.got[1]; got.Attempt() != 1 || got.Redelivered() {
		t.Fatalf("a refused offer counted: attempt %d", got.Attempt())
	}
	r.room = plenty
	k.Resume(&calls{})
	if len(r.got) != 100 {
		t.Fatalf("%d messages arrived, want 100", len(r.got))
	}
	k.Resume(&calls{}) // not parked: nothing to do
}

func TestCloseReturnsInOldOrder(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	a, b := &desk{room: plenty}, &desk{room: plenty}
	ka := consume(t, s, "/queue/a", a, 2, false)
	kb := consume(t, s, "/queue/a", b, 2, false)
	put(t, s, "/queue/a", 1, 2, 3, 4, 5, 6)
	wantMessages(t, "a", a, 1, 3)
	wantMessages(t, "b", b, 2, 4)
	kb.Close(&calls{})
	ka.Close(&calls{})
	ka.Close(&calls{})
	ka.Start(&calls{})
	ka.Resume(&calls{})
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 6, Bytes: 6})

	rest := &desk{room: plenty}
	consume(t, s, "/queue/a", rest, 0, true)
	wantMessages(t, "the next", rest, 1, 2, 3, 4, 5, 6)
	for i, d := range rest.got {
		if want := i < 4; d.Redelivered() != want {
			t.Errorf("message %d redelivered: %v", d.Message(), d.Redelivered())
		}
	}
}

func TestQueueDisappears(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	put(t, s, "/queue/a", 1)
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 1, Bytes: 1})
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 0, false)
	r.got[0].Ack(&calls{})
	wantQueue(t, s, QueueStats{Name: "/queue/a", Consumers: 1})
	k.Close(&calls{})
	wantEmpty(t, s)
}

// The name of a queue must neither keep alive nor change with the buffer that a
// frame was read into.
func TestQueueNameIsCopied(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	frame := "SUBSCRIBE\ndestination:/queue/a\n\n\x00"
	name := frame[22:30]
	put(t, s, name, 1)
	for q := range s.Queues() {
		if q.Name != "/queue/a" || sameMemory(q.Name, name) {
			t.Fatalf("the store kept the caller's memory for %q", q.Name)
		}
	}
}

func TestQueuesLoopMayUseTheStoreAndStop(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	put(t, s, "/queue/a", 1)
	put(t, s, "/queue/b", 2)
	n := 0
	for q := range s.Queues() {
		put(t, s, q.Name, 3)
		n++
		break
	}
	if got := s.Stats(); n != 1 || got.Messages != 3 || got.Queues != 2 || got.Bytes != 3 {
		t.Fatalf("after %d rounds the store holds %+v", n, got)
	}
}
