package workqueue

import (
	"slices"
	"testing"
	"time"
	"unsafe"
)

// Each subscription to a queue has a Consumer: it fits its size class.
func TestConsumerSize(t *testing.T) {
	if n := unsafe.Sizeof(testConsumer{}); n > 112 {
		t.Errorf("a consumer takes %d bytes", n)
	}
}

func browse(t *testing.T, s *testStore, after uint64, limit int) []Item[int] {
	t.Helper()
	list, found := s.Browse("/queue/a", after, limit)
	if !found {
		t.Fatal("there is no such queue")
	}
	return list
}

func places(list []Item[int]) (ps []int) {
	for i, it := range list {
		ps = append(ps, it.Message)
		if i > 0 && it.Place <= list[i-1].Place {
			ps = append(ps, -1)
		}
	}
	return ps
}

// Browse lists what waits, what returned and what consumers hold, in order, and
// changes nothing.
func TestBrowse(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	if _, found := s.Browse("/queue/a", 0, 10); found {
		t.Error("a queue that does not exist is found")
	}
	put(t, s, "/queue/a", 1, 2, 3, 4, 5, 6)
	a, b := &desk{room: 3}, &desk{room: 1}
	k := consume(t, s, "/queue/a", a, 0, false)
	consume(t, s, "/queue/a", b, 0, false)
	a.got[1].Nack(&calls{})
	k.Close(&calls{})
	list := browse(t, s, 0, 100)
	if got := places(list); !slices.Equal(got, []int{1, 2, 3, 4, 5, 6}) {
		t.Fatalf("got %v", got)
	}
	for i, want := range []struct {
		attempts          int
		redelivered, held bool
	}{{1, true, false}, {1, true, false}, {0, true, false}, {0, false, true}, {0, false, false}, {0, false, false}} {
		if it := list[i]; it.Attempts != want.attempts || it.Redelivered != want.redelivered || it.Held != want.held || it.Size != 1 || !it.Put.IsZero() {
			t.Errorf("%+v, want %+v", it, want)
		}
	}
	for after, want := range map[uint64][]int{0: {1, 2}, 1: {2, 3}, 4: {5, 6}, 5: {6}, 6: nil, 7: nil} {
		if got := places(browse(t, s, list[0].Place-1+after, 2)); !slices.Equal(got, want) {
			t.Errorf("after %d: %v, want %v", after, got, want)
		}
	}
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 6, Bytes: 6, Unsettled: 1, Consumers: 1})
}

// A place is never used again, also not by a later queue of the same name.
func TestPlacesAreNotUsedAgain(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	put(t, s, "/queue/a", 1, 2)
	before := browse(t, s, 0, 10)[1].Place
	s.Purge("/queue/a")
	wantEmpty(t, s)
	put(t, s, "/queue/a", 3)
	if got := browse(t, s, 0, 10)[0].Place; got <= before {
		t.Errorf("the place is %d, and was %d before", got, before)
	}
}

func TestRemove(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	if _, found := s.Remove("/queue/a", func(Item[int]) bool { return true }, nil); found {
		t.Error("a queue that does not exist is found")
	}
	put(t, s, "/queue/a", 1, 2, 3, 4)
	r := &desk{room: 1}
	k := consume(t, s, "/queue/a", r, 1, false)
	var seen, held []int
	removed, found := s.Remove("/queue/a", func(it Item[int]) bool {
		seen = append(seen, it.Message)
		return it.Message != 3
	}, func(it Item[int]) {
		if it.Held {
			held = append(held, it.Message)
		}
	})
	if !found || !slices.Equal(removed, []int{2, 4}) || !slices.Equal(seen, []int{2, 3, 4}) || !slices.Equal(held, []int{1}) {
		t.Fatalf("removed %v, asked for %v, held are %v", removed, seen, held)
	}
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 2, Bytes: 2, Unsettled: 1, Consumers: 1})
	k.Close(&calls{})
	s.Remove("/queue/a", func(Item[int]) bool { return true }, nil)
	wantEmpty(t, s)
}

// The age of a message is that in its present queue.
func TestTimesOfMessages(t *testing.T) {
	now := 5 * time.Second
	s := New[int, *calls](Limits{Attempts: 1}, deadLetters)
	s.SetClock(func() time.Duration { return now })
	oldest := func(name string) time.Duration {
		for q := range s.Queues() {
			if q.Name == name && !q.Oldest.IsZero() {
				return q.Oldest.Sub(s.made)
			}
		}
		return -1
	}
	put(t, s, "/queue/a", 1)
	now += time.Second
	if err := s.PutAll(&calls{}, []Put[int]{{Queue: "/queue/a", Message: 2, Size: 1}}); err != nil {
		t.Fatal(err)
	}
	if got := oldest("/queue/a"); got != 5*time.Second {
		t.Errorf("the oldest is of %v", got)
	}
	list := browse(t, s, 0, 10)
	if got := list[1].Put.Sub(list[0].Put); got != time.Second {
		t.Errorf("the second is %v younger", got)
	}
	r := &desk{room: 1}
	k := consume(t, s, "/queue/a", r, 1, false)
	if got := oldest("/queue/a"); got != 5*time.Second {
		t.Errorf("while it is held, the oldest is of %v", got)
	}
	now += time.Second
	k.Close(&calls{}) // a dead letter now
	if a, d := oldest("/queue/a"), oldest("/queue/DLQ.a"); a != 6*time.Second || d != 7*time.Second {
		t.Errorf("the oldest are of %v and %v", a, d)
	}
}

// What a consumer held that withdraws has had no attempt.
func TestWithdraw(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 1}, deadLetters)
	put(t, s, "/queue/a", 1, 2, 3)
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 0, false)
	r.got[1].Ack(&calls{})
	k.Withdraw(&calls{})
	k.Withdraw(&calls{})
	k.Close(&calls{})
	if r.got[0].Ack(&calls{}) {
		t.Error("what it held can be settled")
	}
	for _, it := range browse(t, s, 0, 10) {
		if it.Attempts != 0 || !it.Redelivered || it.Held {
			t.Errorf("left behind: %+v", it)
		}
	}
	next := &desk{room: plenty}
	consume(t, s, "/queue/a", next, 0, false)
	wantMessages(t, "the next", next, 1, 3)
	wantQueue(t, s, QueueStats{Name: "/queue/a", Messages: 2, Bytes: 2, Unsettled: 2, Consumers: 1})
}

// Consumers that come and go in any order leave the list of consumers right.
func TestListOfConsumers(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	var ks []*testConsumer
	for range 5 {
		ks = append(ks, consume(t, s, "/queue/a", &desk{room: 1}, 1, false))
	}
	for _, i := range []int{2, 0, 4, 1, 3} {
		put(t, s, "/queue/a", i)
		held := 0
		for _, it := range browse(t, s, 0, 10) {
			if it.Held {
				held++
			}
		}
		st := s.Stats()
		if held != st.Unsettled {
			t.Fatalf("%d are held, the counts say %d", held, st.Unsettled)
		}
		ks[i].Close(&calls{})
	}
	if q := s.find("/queue/a"); q.newest != nil {
		t.Error("a consumer is left")
	}
}
