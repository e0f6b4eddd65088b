package workqueue

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// watch is a clock that the test sets, and what expired by it.
type watch struct {
	now     int64
	expired []int
	dropped []error
}

// expiring returns a store whose messages expire. With dead, they become dead
// letters.
func expiring(l Limits, w *watch, dead bool) *testStore {
	s := New[int, *calls](l, deadLetters)
	s.SetExpiry(Expiry[int]{
		Now: func() int64 { return w.now },
		Expired: func(m int, queue string, attempts int) (string, int, int) {
			w.expired = append(w.expired, m)
			if !dead {
				return "", 0, 0
			}
			return deadLetters(m, queue, attempts)
		},
		Dropped: func(m int, _ string, err error) { w.dropped = append(w.dropped, err) },
	})
	return s
}

func putExpiring(t testing.TB, s *testStore, queue string, expires int64, ms ...int) {
	t.Helper()
	for _, m := range ms {
		if err := s.PutOne(&calls{}, Put[int]{Queue: queue, Message: m, Size: 1, Expires: expires}); err != nil {
			t.Fatalf("PutOne(%q, %d): %v", queue, m, err)
		}
	}
}

func wantExpired(t *testing.T, w *watch, want ...int) {
	t.Helper()
	if !slices.Equal(w.expired, want) {
		t.Fatalf("expired are %v, want %v", w.expired, want)
	}
}

// An expired message is not delivered, wherever it lies, and those around it
// are, in order. The moment counts at which a consumer can take it.
func TestExpiredIsNotDelivered(t *testing.T) {
	w := &watch{now: 100}
	s := expiring(Limits{}, w, false)
	putExpiring(t, s, "/queue/a", 200, 1, 2)
	put(t, s, "/queue/a", 3)
	putExpiring(t, s, "/queue/a", 150, 4)
	putExpiring(t, s, "/queue/a", 250, 5)
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 1, false)
	w.now = 200 // 2 has expired while the consumer was busy
	r.got[0].Ack(&calls{})
	wantMessages(t, "the consumer", r, 1, 3)
	r.got[1].Ack(&calls{})
	wantMessages(t, "the consumer", r, 1, 3, 5)
	wantExpired(t, w, 2, 4)
	if r.got[2].Expires() != 250 || r.got[1].Expires() != 0 {
		t.Errorf("they expire at %d and %d", r.got[2].Expires(), r.got[1].Expires())
	}
	putExpiring(t, s, "/queue/a", 200, 6) // at once, even if nobody can take it
	k.Close(&calls{})                     // 5 goes back
	w.now = 250
	k = consume(t, s, "/queue/a", r, 1, false)
	wantExpired(t, w, 2, 4, 5, 6)
	k.Close(&calls{})
	wantEmpty(t, s)
}

// A sweep finds what lies in queues without consumers, among what stays.
func TestSweep(t *testing.T) {
	w := &watch{now: 100}
	s := expiring(Limits{}, w, false)
	for m := range 40 {
		if m%4 == 0 {
			put(t, s, "/queue/a", m)
		} else {
			putExpiring(t, s, "/queue/a", int64(101+m%4), m)
		}
	}
	putExpiring(t, s, "/queue/b", 102, 100)
	back := &desk{room: 4}
	consume(t, s, "/queue/a", back, 0, false).Close(&calls{}) // 0 to 3 come back
	s.Sweep(&calls{})
	wantExpired(t, w)
	w.now = 103
	s.Sweep(&calls{})
	slices.Sort(w.expired)
	var want, left []int
	for m := range 40 {
		switch m % 4 {
		case 1, 2:
			want = append(want, m)
		default:
			left = append(left, m)
		}
	}
	wantExpired(t, w, append(want, 100)...)
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 20, Bytes: 20})
	wantQueue(t, s, QueueStats{Name: "/queue/b"})
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 0, true)
	wantMessages(t, "the consumer", r, left...)
	k.Close(&calls{})
	wantEmpty(t, s)
}

// A sweep looks at the messages of a queue only if one of them may have expired.
func TestSweepLooksOnlyWhereSomethingExpired(t *testing.T) {
	w := &watch{now: 100}
	s := expiring(Limits{}, w, false)
	put(t, s, "/queue/a", 1)
	putExpiring(t, s, "/queue/a", 200, 2)
	putExpiring(t, s, "/queue/a", 150, 3)
	q := s.shard("/queue/a").queues["/queue/a"]
	for _, x := range []struct{ now, next int64 }{{100, 150}, {149, 150}, {150, 200}, {200, 0}} {
		w.now = x.now
		if s.Sweep(&calls{}); q.nextExpiry != x.next {
			t.Errorf("at %d the next one expires at %d, want %d", x.now, q.nextExpiry, x.next)
		}
	}
}

// Expired messages become dead letters, which do not expire. Their sizes count
// where they are.
func TestExpiredBecomesADeadLetter(t *testing.T) {
	w := &watch{now: 100}
	s := expiring(Limits{}, w, true)
	putExpiring(t, s, "/queue/a", 150, 1, 2)
	put(t, s, "/queue/a", 3)
	putExpiring(t, s, "/queue/DLQ.a", 150, 4)
	w.now = 150
	s.Sweep(&calls{})
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 1, Bytes: 1})
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 2, Bytes: 2})
	w.now = 1000
	s.Sweep(&calls{})
	r := &desk{room: plenty}
	for _, queue := range []string{"/queue/DLQ.a", "/queue/a"} {
		k := consume(t, s, queue, r, 0, true)
		k.Close(&calls{})
	}
	wantMessages(t, "the readers", r, 1, 2, 3)
	slices.Sort(w.expired)
	wantExpired(t, w, 1, 2, 4)
	wantEmpty(t, s)
}

// If the queue of dead letters is full, the message is dropped: it must not be
// delivered and must not fill the queue.
func TestExpiredIsDroppedIfDeadLettersAreFull(t *testing.T) {
	w := &watch{now: 100}
	s := expiring(Limits{Messages: 2}, w, true)
	put(t, s, "/queue/DLQ.a", 9)
	putExpiring(t, s, "/queue/a", 150, 1, 2)
	w.now = 150
	s.Sweep(&calls{})
	wantQueue(t, s, QueueStats{Name: "/queue/a"})
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 2, Bytes: 2})
	if len(w.dropped) != 1 || !errors.Is(w.dropped[0], ErrFull) {
		t.Errorf("dropped with %v", w.dropped)
	}
	if b := s.bytes.Load(); b != 2 {
		t.Errorf("%d bytes are counted, want 2", b)
	}
}

// A consumer that finds that a message has expired gives it up.
func TestExpireADelivery(t *testing.T) {
	w := &watch{now: 100}
	s := expiring(Limits{}, w, true)
	var o Owner
	if err := s.PutAll(&calls{}, []Put[int]{{&o, "/queue/a", 1, 5, 150}, {&o, "/queue/a", 2, 7, 150}}); err != nil {
		t.Fatal(err)
	}
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 1, false)
	w.now = 150
	if !r.got[0].Expire(&calls{}) || r.got[0].Expire(&calls{}) || r.got[0].Ack(&calls{}) {
		t.Error("a delivery expires once and is settled then")
	}
	wantMessages(t, "the consumer", r, 1)
	wantExpired(t, w, 1, 2)
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 2, Bytes: 2})
	wantQueue(t, s, QueueStats{Name: "/queue/a", Consumers: 1})
	if b := o.bytes.Load(); b != 2 {
		t.Errorf("%d bytes of the owner, want 2", b)
	}
	k.Close(&calls{})
	if r.got[0].Expire(&calls{}) {
		t.Error("a delivery of a closed consumer expires")
	}
}

// Whatever happens, each message is delivered, expires or stays, no expired one
// is delivered, and the counts are right.
func TestExpiryKeepsTheCounts(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := &watch{now: 1}
		s := expiring(Limits{Messages: 50}, w, rnd.IntN(2) == 0)
		expires := make(map[int]int64)
		r := &desk{room: plenty, saw: func(d *testDelivery) {
			if e := expires[d.Message()]; e != 0 && e <= w.now && d.consumer.queue.name == "/queue/a" {
				t.Errorf("seed %d: message %d, which expired at %d, is delivered at %d", seed, d.Message(), e, w.now)
			}
		}}
		k := consume(t, s, "/queue/a", r, 3, false)
		accepted := 0
		for m := range 500 {
			var at int64
			if rnd.IntN(2) == 0 {
				at = w.now + rnd.Int64N(20)
			}
			expires[m] = at
			if s.PutOne(&calls{}, Put[int]{Queue: "/queue/a", Message: m, Size: m, Expires: at}) == nil {
				accepted++
			}
			w.now += rnd.Int64N(3)
			switch last := len(r.got) - 1; rnd.IntN(8) {
			case 0:
				s.Sweep(&calls{})
			case 1:
				k.Close(&calls{})
				k = consume(t, s, "/queue/a", r, 3, false)
			case 2:
				if last >= 0 {
					r.got[rnd.IntN(last+1)].Expire(&calls{})
				}
			case 3:
				if last >= 0 {
					r.got[rnd.IntN(last+1)].Nack(&calls{})
				}
			default:
				if last >= 0 {
					r.got[rnd.IntN(last+1)].Ack(&calls{})
				}
			}
		}
		k.Close(&calls{})
		var messages, bytes int64
		for q := range s.Queues() {
			messages += int64(q.Messages)
			bytes += q.Bytes
		}
		if b := s.bytes.Load(); b != bytes {
			t.Errorf("seed %d: %d bytes in the queues, %d are counted", seed, bytes, b)
		}
		for _, queue := range []string{"/queue/a", "/queue/DLQ.a"} {
			if _, found := s.Purge(queue); !found && queue == "/queue/a" {
				t.Logf("seed %d: the queue was empty", seed)
			}
		}
		wantEmpty(t, s)
	}
}
