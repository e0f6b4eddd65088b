package workqueue

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// calls is what a call passes along: it counts the offers that the call made.
type calls struct{ offers int }

type (
	testStore    = Store[int, *calls]
	testDelivery = Delivery[int, *calls]
	testConsumer = Consumer[int, *calls]
)

// desk is a receiver with a limited room; it keeps what it took.
type desk struct {
	room int
	got  []*testDelivery
	saw  func(*testDelivery) // called for every offer that it takes
}

func (r *desk) Offer(c *calls, d *testDelivery) bool {
	c.offers++
	if r.room == 0 {
		return false
	}
	r.room--
	r.got = append(r.got, d)
	if r.saw != nil {
		r.saw(d)
	}
	return true
}

// messages returns the messages that the desk took, in order.
func (r *desk) messages() []int {
	ms := []int{}
	for _, d := range r.got {
		ms = append(ms, d.Message())
	}
	return ms
}

const plenty = 1 << 30

// deadLetters sends /queue/x to /queue/DLQ.x, unchanged, and keeps dead letters
// where they are.
func deadLetters(m int, queue string, _ int) (string, int, int) {
	name := strings.TrimPrefix(queue, "/queue/")
	if strings.HasPrefix(name, "DLQ.") {
		return "", 0, 0
	}
	return "/queue/DLQ." + name, m, 1
}

func consume(t testing.TB, s *testStore, queue string, r *desk, prefetch int, auto bool) *testConsumer {
	t.Helper()
	k, err := s.Consume(queue, r, prefetch, auto)
	if err != nil {
		t.Fatalf("Consume(%q): %v", queue, err)
	}
	k.Start(&calls{})
	return k
}

func put(t testing.TB, s *testStore, queue string, ms ...int) {
	t.Helper()
	for _, m := range ms {
		if err := s.Put(&calls{}, queue, m, 1); err != nil {
			t.Fatalf("Put(%q, %d): %v", queue, m, err)
		}
	}
}

func wantMessages(t testing.TB, who string, r *desk, want ...int) {
	t.Helper()
	if got := r.messages(); !slices.Equal(got, want) {
		t.Fatalf("%s got %v, want %v", who, got, want)
	}
}

// wantQueue checks the statistics of one queue. All are zero for a queue that
// does not exist.
func wantQueue(t testing.TB, s *testStore, want QueueStats) {
	t.Helper()
	got := QueueStats{Name: want.Name}
	for q := range s.Queues() {
		if q.Name == want.Name {
			got = q
		}
	}
	if got != want {
		t.Fatalf("queue is %+v, want %+v", got, want)
	}
}

// wantEmpty checks that nothing is left: no message, no byte, no name, no map.
func wantEmpty[M, C any](t interface {
	Helper()
	Fatalf(string, ...any)
}, s *Store[M, C]) {
	t.Helper()
	if got := s.Stats(); got != (Stats{}) {
		t.Fatalf("store holds %+v, want nothing", got)
	}
	if q, b := s.queues.Load(), s.bytes.Load(); q != 0 || b != 0 {
		t.Fatalf("store counts %d queues and %d bytes, want none", q, b)
	}
	for i := range s.shards {
		if s.shards[i].queues != nil {
			t.Fatalf("shard %d still has a map", i)
		}
	}
}

func wantFull(t testing.TB, err error, limit string, limitValue int64) {
	t.Helper()
	var full *FullError
	if !errors.As(err, &full) || !errors.Is(err, ErrFull) {
		t.Fatalf("error is %v, want a *FullError", err)
	}
	if full.Limit != limit || full.Max != limitValue {
		t.Fatalf("error names %q, %d, want %q, %d", full.Limit, full.Max, limit, limitValue)
	}
}
