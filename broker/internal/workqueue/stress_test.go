package workqueue

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// mailbox is a receiver like an outbox: bounded, filled under the queue's lock
// and emptied by a goroutine.
type mailbox chan *Delivery[int, struct{}]

func (m mailbox) Offer(_ struct{}, d *Delivery[int, struct{}]) bool {
	select {
	case m <- d:
		return true
	default:
		return false
	}
}

// With producers, consumers that acknowledge, refuse, stall and leave, and
// consumed dead letters, every message is acknowledged exactly once, and in the
// end nothing is left.
func TestConcurrentExactlyOnce(t *testing.T) {
	const producers, perProducer, workers = 4, 2_000, 4
	names := []string{"/queue/a", "/queue/b"}
	s := New[int, struct{}](Limits{Messages: 500, Attempts: 2}, deadLetters)
	var (
		acked   [producers * perProducer]atomic.Int32
		left    atomic.Int64
		done    = make(chan struct{})
		wg      sync.WaitGroup
		nothing struct{}
	)
	left.Store(int64(len(acked)))

	// consumeFor runs one consumer for some deliveries; it leaves with the rest
	// unsettled.
	consumeFor := func(name string, rnd *rand.Rand) (finished bool) {
		box := make(mailbox, 8)
		k, err := s.Consume(name, box, rnd.IntN(12), false)
		if err != nil {
			t.Error(err)
			return true
		}
		defer k.Close(nothing)
		k.Start(nothing)
		for range 20 + rnd.IntN(300) {
			select {
			case d := <-box:
				k.Resume(nothing)
				switch n := rnd.IntN(40); {
				case n == 0:
					return false // with this one unsettled, and those in the box
				case n < 6:
					d.Nack(nothing)
					continue
				}
				if d.Ack(nothing) {
					if n := acked[d.Message()].Add(1); n != 1 {
						t.Errorf("message %d was acknowledged %d times", d.Message(), n)
					}
					if left.Add(-1) == 0 {
						close(done)
					}
				}
				if d.Ack(nothing) || d.Nack(nothing) {
					t.Error("a delivery was settled twice")
				}
			case <-done:
				return true
			}
			if rnd.IntN(64) == 0 {
				s.Stats()
			}
		}
		return false
	}
	for w := range workers {
		for _, name := range slices.Concat(names, []string{"/queue/DLQ.a", "/queue/DLQ.b"}) {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(w), uint64(len(name))))
				for !consumeFor(name, rnd) {
				}
			})
		}
	}
	for p := range producers {
		wg.Go(func() {
			for i := range perProducer {
				m := p*perProducer + i
				for s.Put(nothing, names[m%len(names)], m, 100) != nil { // full: let the workers make room
					select {
					case <-done:
						return
					default:
						runtime.Gosched()
					}
				}
			}
		})
	}
	testkit.Wait(t, &wg)
	wantEmpty(t, s)
}

// Queues come and go concurrently: Put must never store into one that has just
// left the store.
func TestConcurrentQueueChurn(t *testing.T) {
	const rounds = 3_000
	s := New[int, struct{}](Limits{Queues: 2}, nil)
	var wg sync.WaitGroup
	var taken atomic.Int64
	for range 4 {
		wg.Go(func() {
			for i := range rounds {
				box := make(mailbox, 4)
				k, err := s.Consume("/queue/a", box, 0, true)
				if err != nil {
					t.Error(err)
					return
				}
				k.Start(struct{}{})
				if err := s.Put(struct{}{}, "/queue/a", i, 1); err != nil {
					t.Error(err)
				}
				k.Close(struct{}{})
				taken.Add(int64(len(box)))
			}
		})
	}
	testkit.Wait(t, &wg)
	if st := s.Stats(); taken.Load()+int64(st.Messages) != 4*rounds {
		t.Fatalf("%d taken and %d stored, want %d in all", taken.Load(), st.Messages, 4*rounds)
	}
	box := make(mailbox, 4*rounds)
	k, err := s.Consume("/queue/a", box, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	k.Start(struct{}{})
	k.Close(struct{}{})
	wantEmpty(t, s)
}
