package workqueue

import (
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestPutAllKeepsTheOrder(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	r := &desk{room: plenty}
	k := consume(t, s, "/queue/a", r, 0, true)
	err := s.PutAll(&calls{}, []Put[int]{{Queue: "/queue/a", Message: 1}, {Queue: "/queue/b", Message: 2, Size: 3}, {Queue: "/queue/a", Message: 3}})
	if err != nil {
		t.Fatal(err)
	}
	wantMessages(t, "the consumer", r, 1, 3)
	wantQueue(t, s, QueueStats{Name: "/queue/b", Messages: 1, Bytes: 3})
	k.Close(&calls{})
	if n, _ := s.Purge("/queue/b"); n != 1 {
		t.Fatalf("purged %d", n)
	}
	wantEmpty(t, s)
}

// Whichever limit refuses one message, none is stored and nothing is left over.
func TestPutAllStoresAllOrNone(t *testing.T) {
	puts := []Put[int]{
		{Queue: "/queue/a", Message: 1, Size: 10}, {Queue: "/queue/b", Message: 2, Size: 10},
		{Queue: "/queue/a", Message: 3, Size: 10}, {Queue: "/queue/c", Message: 4, Size: 10},
	}
	for _, tc := range []struct {
		limits Limits
		limit  string
		max    int64
	}{
		{Limits{Messages: 1}, LimitMessages, 1},
		{Limits{Bytes: 19}, LimitBytes, 19},
		{Limits{TotalBytes: 39}, LimitTotalBytes, 39},
		{Limits{Queues: 2}, LimitQueues, 2},
		{Limits{OwnerQueues: 2}, LimitOwnerQueues, 2},
		{Limits{OwnerBytes: 39}, LimitOwnerBytes, 39},
	} {
		s := New[int, *calls](tc.limits, nil)
		var o Owner
		for i := range puts {
			puts[i].Owner = &o
		}
		r := &desk{room: plenty}
		c := &calls{}
		wantFull(t, s.PutAll(c, puts), tc.limit, tc.max)
		if len(r.got) > 0 || c.offers > 0 {
			t.Errorf("%s: a message was offered", tc.limit)
		}
		wantEmpty(t, s)
		if !o.Empty() {
			t.Errorf("%s: the owner still has something", tc.limit)
		}
	}
}

// A refused set changes nothing in a queue that others use.
func TestPutAllLeavesAQueueAsItWas(t *testing.T) {
	s := New[int, *calls](Limits{Messages: 2}, nil)
	put(t, s, "/queue/full", 1, 2)
	put(t, s, "/queue/half", 3)
	wantFull(t, s.PutAll(&calls{}, []Put[int]{{Queue: "/queue/half", Message: 4}, {Queue: "/queue/full", Message: 5}}), LimitMessages, 2)
	wantQueue(t, s, QueueStats{Name: "/queue/half", Messages: 1, Bytes: 1})
	wantQueue(t, s, QueueStats{Name: "/queue/full", Messages: 2, Bytes: 2})
	r := &desk{room: plenty}
	consume(t, s, "/queue/half", r, 0, true)
	wantMessages(t, "the consumer", r, 3)
}

// Sets that compete for room, with queues that come and go, leave a store that
// is empty once everything is consumed.
func TestPutAllCompetes(t *testing.T) {
	s := New[int, *calls](Limits{Messages: 3, Queues: 3}, nil)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				name := []string{"/queue/a", "/queue/b"}[(w+i)%2]
				_ = s.PutAll(&calls{}, []Put[int]{{Queue: name, Message: i}, {Queue: "/queue/x", Message: i, Size: 1}, {Queue: name, Message: i}}) // full or not
				s.Purge("/queue/a")
				s.Purge("/queue/b")
				s.Purge("/queue/x")
			}
		})
	}
	testkit.Wait(t, &wg)
	for _, name := range []string{"/queue/a", "/queue/b", "/queue/x"} {
		s.Purge(name)
	}
	wantEmpty(t, s)
}
