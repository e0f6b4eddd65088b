package workqueue

import (
	"runtime"
	"sync"
	"testing"
)

// hand is the cheapest receiver: it keeps the last delivery.
type hand struct{ d *testDelivery }

func (h *hand) Offer(_ *calls, d *testDelivery) bool {
	h.d = d
	return true
}

// A message through an idle queue takes one allocation, its Delivery. A refused
// or waiting message takes none.
func TestAllocations(t *testing.T) {
	c := &calls{}
	h := &hand{}
	s := New[int, *calls](Limits{}, nil)
	k, err := s.Consume("/queue/a", h, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	k.Start(c)
	round := func() {
		if s.Put(c, "/queue/a", 1, 100) != nil || !h.d.Ack(c) {
			t.Fatal("a message did not get through")
		}
	}
	if n := testing.AllocsPerRun(1_000, round); n != 1 {
		t.Errorf("Put, Offer and Ack allocate %v times, want once", n)
	}

	s = New[int, *calls](Limits{Messages: 5_000}, nil)
	put(t, s, "/queue/a", make([]int, 3_000)...) // its ring has 4,096 slots now
	wait := func() {
		if err := s.Put(c, "/queue/a", 1, 100); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1_000, wait); n != 0 {
		t.Errorf("a Put that waits allocates %v times, want none", n)
	}
}

func BenchmarkOneToOne(b *testing.B) {
	s := New[int, *calls](Limits{}, nil)
	c, h := &calls{}, &hand{}
	k, err := s.Consume("/queue/a", h, 0, false)
	if err != nil {
		b.Fatal(err)
	}
	k.Start(c)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Put(c, "/queue/a", 1, 100); err != nil {
			b.Fatal(err)
		}
		h.d.Ack(c)
	}
}

// BenchmarkFourToFour runs four producers and four consumers on one queue; the
// lock dominates.
func BenchmarkFourToFour(b *testing.B) {
	s := New[int, struct{}](Limits{}, nil)
	var consumers, producers sync.WaitGroup
	var ks []*Consumer[int, struct{}]
	var boxes []mailbox
	for range 4 {
		box := make(mailbox, 256)
		k, err := s.Consume("/queue/a", box, 0, false)
		if err != nil {
			b.Fatal(err)
		}
		k.Start(struct{}{})
		ks, boxes = append(ks, k), append(boxes, box)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var settled sync.WaitGroup
	settled.Add(b.N)
	for i := range 4 {
		consumers.Go(func() {
			for d := range boxes[i] {
				d.Ack(struct{}{})
				settled.Done()
				if len(boxes[i]) == 0 {
					ks[i].Resume(struct{}{})
				}
			}
		})
		n := b.N / 4
		if i == 0 {
			n += b.N % 4
		}
		producers.Go(func() {
			for range n {
				for s.Put(struct{}{}, "/queue/a", 1, 100) != nil { // full: let the consumers make room
					runtime.Gosched()
				}
			}
		})
	}
	producers.Wait()
	settled.Wait()
	b.StopTimer()
	for i, k := range ks {
		k.Close(struct{}{})
		close(boxes[i])
	}
	consumers.Wait()
}
