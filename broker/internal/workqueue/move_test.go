package workqueue

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func every(Item[int]) bool { return true }

func toB(m int) Put[int] { return Put[int]{Queue: "/queue/b", Message: m + 100, Size: 2} }

func contents(s *testStore, name string) (ms []int) {
	list, _ := s.Browse(name, 0, plenty)
	for _, it := range list {
		ms = append(ms, it.Message)
	}
	return ms
}

func TestMove(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	if _, found, err := s.Move(&calls{}, "/queue/a", every, toB); found || err != nil {
		t.Errorf("from a queue that does not exist: %v %v", found, err)
	}
	for m := range 200 { // more than are on their way at one time
		put(t, s, "/queue/a", m)
	}
	r := &desk{room: plenty}
	consume(t, s, "/queue/a", r, 1, false)
	n, found, err := s.Move(&calls{}, "/queue/a", func(it Item[int]) bool { return it.Message != 3 }, toB)
	if n != 198 || !found || err != nil {
		t.Fatalf("%d %v %v", n, found, err)
	}
	if got := contents(s, "/queue/a"); !slices.Equal(got, []int{0, 3}) {
		t.Errorf("left behind: %v", got)
	}
	if got := contents(s, "/queue/b"); len(got) != 198 || got[0] != 101 || got[197] != 299 || !slices.IsSorted(got) {
		t.Errorf("moved: %v", got)
	}
	wantQueue(t, s, QueueStats{Name: "/queue/b", Messages: 198, Bytes: 396})
	if st := s.Stats(); st.Bytes != s.bytes.Load() {
		t.Errorf("the queues have %d bytes, the store counts %d", st.Bytes, s.bytes.Load())
	}
}

// A queue that is full takes what it can. The rest is where it was, also if the
// messages were picked from the middle.
func TestMoveToAFullQueue(t *testing.T) {
	s := New[int, *calls](Limits{Messages: 10}, nil)
	put(t, s, "/queue/a", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	put(t, s, "/queue/b", 0, 1, 2, 3, 4, 5, 6, 7)
	even := func(it Item[int]) bool { return it.Message%2 == 0 && it.Message > 3 }
	n, _, err := s.Move(&calls{}, "/queue/a", even, toB)
	var full *FullError
	if n != 2 || !errors.As(err, &full) || full.Limit != LimitMessages {
		t.Fatalf("%d %v", n, err)
	}
	if got := contents(s, "/queue/a"); !slices.Equal(got, []int{0, 1, 2, 3, 5, 7, 8, 9}) {
		t.Fatalf("left: %v", got)
	}
	s.Purge("/queue/b")
	if n, _, err := s.Move(&calls{}, "/queue/a", every, toB); n != 8 || err != nil {
		t.Fatalf("moved %d, %v", n, err)
	}
	if got := contents(s, "/queue/b"); !slices.Equal(got, []int{100, 101, 102, 103, 105, 107, 108, 109}) {
		t.Errorf("moved: %v", got)
	}
	if st := s.Stats(); st.Bytes != s.bytes.Load() || st.Queues != 1 || s.queues.Load() != 1 {
		t.Errorf("%+v, but %d bytes and %d queues count", st, s.bytes.Load(), s.queues.Load())
	}
}

// The share of a message stays with it.
func TestMoveKeepsTheOwner(t *testing.T) {
	o := new(Owner)
	s := New[int, *calls](Limits{OwnerQueues: 1}, nil)
	if err := s.PutAll(&calls{}, []Put[int]{{Owner: o, Queue: "/queue/a", Message: 1, Size: 1}, {Owner: o, Queue: "/queue/a", Message: 2, Size: 1}}); err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.Move(&calls{}, "/queue/a", every, toB); n != 0 || err == nil {
		t.Fatalf("a second queue for one owner: %d %v", n, err)
	}
	put(t, s, "/queue/b", 0)
	if n, _, err := s.Move(&calls{}, "/queue/a", every, toB); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if o.bytes.Load() != 4 || o.queues.Load() != 0 {
		t.Errorf("the owner has %d bytes in %d queues", o.bytes.Load(), o.queues.Load())
	}
	s.Purge("/queue/b")
	if !o.Empty() {
		t.Error("the owner is not empty")
	}
}

// Messages that are put while Move runs, or that come back, do not make it
// endless: two queues with dead letters.
func TestMoveEnds(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 1}, deadLetters)
	var k *testConsumer
	r := &desk{room: plenty}
	put(t, s, "/queue/DLQ.a", 1, 2, 3)
	k = consume(t, s, "/queue/a", r, 0, false)
	n, _, err := s.Move(&calls{}, "/queue/DLQ.a", every, func(m int) Put[int] {
		if m == 2 { // the consumer dies of the first, which is a dead letter again
			k.Close(&calls{})
		}
		return Put[int]{Queue: "/queue/a", Message: m, Size: 1}
	})
	if n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if a, d := contents(s, "/queue/a"), contents(s, "/queue/DLQ.a"); !slices.Equal(a, []int{2, 3}) || !slices.Equal(d, []int{1}) {
		t.Errorf("the queue has %v, the dead letters are %v", a, d)
	}
}

// Two queues are moved into each other while consumers take from both, return
// and acknowledge: every message comes once.
func TestMoveWhileConsumersRun(t *testing.T) {
	const messages = 3000
	names := []string{"/queue/a", "/queue/b"}
	s := New[int, *calls](Limits{}, nil)
	var mu sync.Mutex
	got := make(map[int]int)
	left := messages
	finished := make(chan struct{})
	done := func() bool { mu.Lock(); defer mu.Unlock(); return left == 0 }
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for !done() {
				var mine []*testDelivery
				r := &desk{room: 1 + rnd.IntN(20)}
				k, err := s.Consume(names[i%2], r, 0, false)
				if err != nil {
					t.Error(err)
					return
				}
				k.Start(&calls{})
				q := k.queue
				q.mu.Lock()
				mine = slices.Clone(r.got)
				q.mu.Unlock()
				for _, d := range mine {
					if rnd.IntN(3) == 0 {
						d.Nack(&calls{})
					} else if d.Ack(&calls{}) {
						mu.Lock()
						got[d.Message()]++
						if left--; left == 0 {
							close(finished)
						}
						mu.Unlock()
					}
				}
				k.Close(&calls{})
			}
		})
	}
	for i := range 2 {
		all.Go(func() {
			for !done() {
				if _, _, err := s.Move(&calls{}, names[i], func(it Item[int]) bool { return it.Message%3 != 0 }, func(m int) Put[int] {
					return Put[int]{Queue: names[1-i], Message: m, Size: 1}
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for m := range messages {
		put(t, s, names[m%2], m)
	}
	testkit.Receive(t, finished)
	testkit.Wait(t, &all)
	for m := range messages {
		if got[m] != 1 {
			t.Errorf("message %d was acknowledged %d times", m, got[m])
		}
	}
	wantEmpty(t, s)
	if n := s.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}
