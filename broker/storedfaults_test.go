package broker_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// faultyStore answers late, twice, in any order, and with an error after it has
// done what it was asked to: its caller cannot know the outcome. It also stops
// reading queues, and cannot open them at times.
type faultyStore struct {
	*brokertest.QueueStore
	mu     sync.Mutex
	random *rand.Rand
	calm   bool // no more errors
	asked  int  // calls whose answer may be lost

	bodies  map[uint64]string // of the messages that it handed over
	removed map[string]bool   // bodies of what was acknowledged
}

var errUnknown = errors.New("the answer was lost")

func newFaultyStore(seed uint64) *faultyStore {
	return &faultyStore{QueueStore: brokertest.NewQueueStore(broker.Queues{}), random: rand.New(rand.NewPCG(seed, 1)),
		bodies: make(map[uint64]string), removed: make(map[string]bool)}
}

// chance is true once in n times, but not for an error when the store is calm.
func (s *faultyStore) chance(n int, fault bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n) == 0 && !(fault && s.calm)
}

// loses is true for the 20th answer, and for one in 50.
func (s *faultyStore) loses() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return !s.calm && (s.asked == 20 || s.random.IntN(50) == 0)
}

func (s *faultyStore) calmDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = true
}

// spoil returns the function to give to the store in place of done.
func (s *faultyStore) spoil(done func(error)) func(error) {
	if done == nil {
		return nil
	}
	return func(err error) {
		if s.loses() {
			err = errUnknown
		}
		answer := func() {
			done(err)
			if s.chance(5, false) {
				done(nil)
			}
		}
		if s.chance(3, false) {
			answer()
			return
		}
		s.mu.Lock()
		wait := time.Duration(s.random.IntN(2000)) * time.Microsecond
		s.mu.Unlock()
		time.AfterFunc(wait, answer)
	}
}

func (s *faultyStore) Append(list []broker.QueuePut, done func(error)) {
	s.QueueStore.Append(list, s.spoil(done))
}

func (s *faultyStore) Replace(queue string, sequence uint64, with broker.QueuePut, done func(error)) {
	s.QueueStore.Replace(queue, sequence, with, s.spoil(done))
}

func (s *faultyStore) Open(queue string, feed broker.QueueFeed) (broker.QueueReader, error) {
	if s.chance(10, true) {
		return nil, errUnknown
	}
	r, err := s.QueueStore.Open(queue, &faultyFeed{feed, s})
	return &faultyReader{r, s}, err
}

type faultyFeed struct {
	broker.QueueFeed
	s *faultyStore
}

func (f *faultyFeed) Messages(list []broker.StoredMessage) {
	f.s.mu.Lock()
	for _, m := range list {
		f.s.bodies[m.Sequence] = string(m.Message.Body)
	}
	f.s.mu.Unlock()
	f.QueueFeed.Messages(list)
}

type faultyReader struct {
	broker.QueueReader
	s *faultyStore
}

func (r *faultyReader) Ack(sequences []uint64, done func(error)) {
	spoilt := r.s.spoil(done)
	r.QueueReader.Ack(sequences, func(err error) {
		if err == nil {
			r.s.mu.Lock()
			for _, n := range sequences {
				r.s.removed[r.s.bodies[n]] = true
			}
			r.s.mu.Unlock()
		}
		if spoilt != nil {
			spoilt(err)
		}
	})
}

// Whatever a store does, a message with a RECEIPT is delivered, and one whose
// acknowledgement has a RECEIPT is removed.
func TestStoredQueuesWithFaults(t *testing.T) {
	const senders, each, workers = 4, 150, 4
	s := newFaultyStore(7)
	b := brokertest.New(t, broker.Options{QueueStore: s, Queues: broker.Queues{Attempts: -1}})
	var mu sync.Mutex
	sent := make(map[string]bool)  // with a RECEIPT
	acked := make(map[string]bool) // the same
	seen := make(map[string]bool)
	stop := make(chan struct{})
	var sending, working, failing sync.WaitGroup
	for n := range senders {
		sending.Go(func() {
			c := brokertest.Connect(t, b)
			for i := range each {
				body := fmt.Sprintf("%d-%d", n, i)
				if i%10 == 9 {
					c.Send("BEGIN", "", "transaction", "t")
					c.Send("SEND", body, "destination", "/queue/jobs", "transaction", "t")
					c.Send("COMMIT", "", "transaction", "t", "receipt", body)
				} else {
					c.Send("SEND", body, "destination", "/queue/jobs", "receipt", body)
				}
				f, err := c.Receive()
				switch {
				case err != nil:
					t.Error(err)
					return
				case f.Command == "RECEIPT" && f.Get("receipt-id") == body:
					mu.Lock()
					sent[body] = true
					mu.Unlock()
				case f.Command == "ERROR" && f.Get("message") == notStored:
					c = brokertest.Connect(t, b) // it may have been stored
				default:
					t.Errorf("got %v", f)
					return
				}
			}
		})
	}
	work := func(n int) {
		var c *brokertest.Client
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if c == nil {
				c = brokertest.Connect(t, b)
				c.Send("SUBSCRIBE", "", "id", "s", "destination", "/queue/jobs", "ack", "client-individual", "prefetch-count", "5")
			}
			if c.Pending() == 0 {
				time.Sleep(100 * time.Microsecond)
				continue
			}
			f, err := c.Receive()
			if err != nil || f.Command != "MESSAGE" {
				c.Close() // the queue could not be read, or an acknowledgement is uncertain
				c = nil
				continue
			}
			body := string(f.Body)
			mu.Lock()
			seen[body] = true
			mu.Unlock()
			switch {
			case (i+n)%11 == 0:
				c.Close()
				c = nil
			case (i+n)%7 == 0:
				answer(c, "1.2", "NACK", f)
			default:
				answer(c, "1.2", "ACK", f, "receipt", body)
				for c != nil {
					r, err := c.Receive()
					if err == nil && r.Command == "MESSAGE" {
						mu.Lock()
						seen[string(r.Body)] = true
						mu.Unlock()
						answer(c, "1.2", "NACK", r)
						continue
					}
					if err == nil && r.Command == "RECEIPT" {
						mu.Lock()
						acked[body] = true
						mu.Unlock()
						break
					}
					c.Close()
					c = nil
				}
			}
		}
	}
	for n := range workers {
		working.Go(func() { work(n) })
	}
	failing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				if s.chance(2, true) {
					s.Fail("/queue/jobs", errUnknown)
				}
			}
		}
	})
	testkit.Wait(t, &sending)
	s.calmDown()
	brokertest.Eventually(t, "messages are left", func() bool { return b.Stats().QueueMessages == 0 })
	close(stop)
	testkit.Wait(t, &working)
	testkit.Wait(t, &failing)
	for body := range sent {
		if !seen[body] {
			t.Errorf("%s was stored and never delivered", body)
		}
	}
	for body := range acked {
		if !s.removed[body] {
			t.Errorf("the acknowledgement of %s has a RECEIPT, and the store does not know it", body)
		}
	}
	if len(sent) < senders*each/2 || len(acked) < senders*each/4 {
		t.Errorf("only %d and %d of %d messages were sent and acknowledged for certain", len(sent), len(acked), senders*each)
	}
}
