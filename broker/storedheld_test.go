package broker_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// heldStore is a store that answers when the test says so. What it takes is done
// then.
type heldStore struct {
	broker.QueueStore
	mu   sync.Mutex
	held []func()
}

func (s *heldStore) hold(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, f)
}

// release has the n oldest calls done.
func (s *heldStore) release(t *testing.T, n int) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	if len(s.held) < n {
		t.Fatalf("the store holds %d calls, want %d", len(s.held), n)
	}
	list := slices.Clone(s.held[:n])
	s.held = s.held[n:]
	s.mu.Unlock()
	for _, f := range list {
		f()
	}
	synctest.Wait()
}

func (s *heldStore) Append(list []broker.QueuePut, done func(error)) {
	s.hold(func() { s.QueueStore.Append(list, done) })
}

func (s *heldStore) Replace(queue string, sequence uint64, with broker.QueuePut, done func(error)) {
	s.hold(func() { s.QueueStore.Replace(queue, sequence, with, done) })
}

func (s *heldStore) Open(queue string, feed broker.QueueFeed) (broker.QueueReader, error) {
	r, err := s.QueueStore.Open(queue, feed)
	return &heldReader{r, s}, err
}

// heldReader confirms late what it does at once.
type heldReader struct {
	broker.QueueReader
	s *heldStore
}

func (r *heldReader) Ack(sequences []uint64, done func(error)) {
	if done == nil {
		r.QueueReader.Ack(sequences, nil)
		return
	}
	r.QueueReader.Ack(sequences, func(err error) { r.s.hold(func() { done(err) }) })
}

// onHold is stored with such a store.
func onHold(t *testing.T, o broker.Options, f func(t *testing.T, s *heldStore, b *broker.Broker)) {
	t.Helper()
	held := &heldStore{QueueStore: brokertest.NewQueueStore(o.Queues)}
	o.QueueStore = held
	stored(t, o, func(t *testing.T, _ *brokertest.QueueStore, start func() *broker.Broker) {
		held.QueueStore = brokertest.NewQueueStore(o.Queues) // of this bubble
		f(t, held, start())
	})
}
