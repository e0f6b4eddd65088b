package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A message that is moved is with nobody until the store has replaced it, and
// what the move had to pass over is as it was.
func TestStoredMoveWaitsForTheStore(t *testing.T) {
	onHold(t, broker.Options{}, func(t *testing.T, s *heldStore, b *broker.Broker) {
		var all []broker.QueuePut
		for i := range 5 {
			all = append(all, broker.QueuePut{Queue: "/queue/a", Message: &broker.Message{ID: fmt.Sprint("id", i), Destination: "/queue/a", Body: fmt.Append(nil, i)}, Size: 10})
		}
		s.QueueStore.Append(all, nil)
		result := make(chan error, 1)
		go func() {
			m, err := b.MoveMessages(t.Context(), "/queue/a", "/queue/b", broker.QueueSelection{IDs: []string{"id2", "id3"}})
			if m.Moved != 2 {
				t.Errorf("moved %+v", m)
			}
			result <- err
		}()
		synctest.Wait()
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "t", "/queue/b", "ack", "client-individual")
		c.Subscribe(t, "s", "/queue/a", "ack", "client-individual")
		wantMessages(t, c, "4") // the move has no use for it
		s.release(t, 1)
		wantMessages(t, c, "2")
		s.release(t, 1)
		if err := <-result; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		got := c.Sync(t)
		if bodies := bodiesOf(t, got); !slices.Equal(slices.Sorted(slices.Values(bodies)), []string{"0", "1", "3"}) {
			t.Errorf("received %q", bodies)
		}
		for _, f := range got {
			if want := map[bool]string{true: "/queue/b", false: "/queue/a"}[string(f.Body) == "3"]; f.Get("destination") != want {
				t.Errorf("%s comes from %s", f.Body, f.Get("destination"))
			}
		}
		for _, m := range inQueue(t, b, "/queue/a", "0", "1", "4") {
			if m.Attempts != 0 {
				t.Errorf("%s has %d failed deliveries", m.Message.Body, m.Attempts)
			}
		}
		if q, err := b.Queue("/queue/a"); err != nil || q.Consumers != 1 || q.Unacknowledged != 3 {
			t.Errorf("the queue is %+v, %v", q, err)
		}
	})
}

// replaceStore answers calls of Replace with errors after it has done them, or
// not.
type replaceStore struct {
	broker.QueueStore
	before, after error
}

func (s *replaceStore) Replace(queue string, sequence uint64, with broker.QueuePut, done func(error)) {
	if s.before != nil {
		done(s.before)
		return
	}
	s.QueueStore.Replace(queue, sequence, with, func(err error) { done(errors.Join(err, s.after)) })
}

// A move ends with the error of the store. Repeated, it loses and doubles
// nothing.
func TestStoredMoveIsRepeated(t *testing.T) {
	s := &replaceStore{}
	stored(t, broker.Options{QueueStore: s}, func(t *testing.T, plain *brokertest.QueueStore, start func() *broker.Broker) {
		s.QueueStore = plain
		b := start()
		for i := range 200 {
			publish(t, b, "/queue/a", fmt.Sprint(i))
		}
		total := 0
		for _, fault := range []replaceStore{{before: errStore}, {after: errUnknown}, {before: &broker.QueueFullError{Key: "queues.messages", Limit: 7}}} {
			s.before, s.after = fault.before, fault.after
			m, err := b.MoveMessages(t.Context(), "/queue/a", "/queue/b", broker.QueueSelection{})
			if want := errors.Join(fault.before, fault.after); fault.before == nil && !errors.Is(err, fault.after) || fault.before != nil && err == nil || m.Moved != 0 {
				t.Errorf("moved %+v, %v, want %v", m, err, want)
			}
			var full *broker.QueueFullError
			if errors.As(fault.before, &full) != errors.Is(err, broker.ErrQueueFull) {
				t.Errorf("the error is %v", err)
			}
			synctest.Wait()
			if a, d := len(peek(t, b, "/queue/a")), len(peek(t, b, "/queue/b")); a+d != 200 {
				t.Errorf("%d and %d messages", a, d)
			}
		}
		s.before, s.after = nil, nil
		total = len(peek(t, b, "/queue/a"))
		if m := move(t, b, "/queue/a", "/queue/b", broker.QueueSelection{}); m.Moved != total {
			t.Errorf("moved %+v of %d", m, total)
		}
		once := make(map[string]int)
		for _, m := range peek(t, b, "/queue/b") {
			once[string(m.Message.Body)]++
		}
		for i := range 200 {
			if once[fmt.Sprint(i)] != 1 {
				t.Errorf("message %d is there %d times", i, once[fmt.Sprint(i)])
			}
		}
	})
}

// Whatever a store does, messages that are moved until none is left are in the
// target, each once.
func TestStoredMoveWithFaults(t *testing.T) {
	const messages = 300
	s := newFaultyStore(11)
	b := brokertest.New(t, broker.Options{QueueStore: s})
	for i := range messages {
		s.QueueStore.Append([]broker.QueuePut{{Queue: "/queue/a", Message: &broker.Message{ID: fmt.Sprint("id", i), Destination: "/queue/a", Body: fmt.Append(nil, i)}, Size: 10}}, nil)
	}
	failed := 0
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := b.MoveMessages(t.Context(), "/queue/a", "/queue/b", broker.QueueSelection{})
		if errors.Is(err, broker.ErrNoQueue) {
			break
		}
		if err != nil {
			if failed++; failed == 10 {
				s.calmDown()
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute; the last error is %v", err)
		}
	}
	once := make(map[string]int)
	for _, m := range peek(t, b, "/queue/b") {
		once[string(m.Message.Body)]++
	}
	for i := range messages {
		if once[fmt.Sprint(i)] != 1 {
			t.Errorf("message %d is there %d times", i, once[fmt.Sprint(i)])
		}
	}
	if failed == 0 {
		t.Error("no move failed")
	}
}

// What another broker holds is not moved, and not waited for.
func TestStoredMoveLeavesWhatOthersHold(t *testing.T) {
	stored(t, broker.Options{}, func(t *testing.T, s *brokertest.QueueStore, start func() *broker.Broker) {
		here, there := start(), start()
		for _, body := range []string{"1", "2", "3", "4"} {
			publish(t, here, "/queue/a", body)
		}
		c := brokertest.Connect(t, there)
		c.Subscribe(t, "s", "/queue/a", "ack", "client-individual", "prefetch-count", "2")
		wantQuietly(t, c, "1", "2")
		begin := time.Now()
		if m := move(t, here, "/queue/a", "/queue/b", broker.QueueSelection{}); m.Moved != 2 {
			t.Errorf("moved %+v", m)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
		inQueue(t, here, "/queue/b", "3", "4")
		if m, err := here.RemoveMessages(t.Context(), "/queue/a", broker.QueueSelection{Sequences: []uint64{1, 2}}); err != nil || m != (broker.QueueRemoved{Held: 2}) {
			t.Errorf("removed %+v, %v", m, err)
		}
	})
}
