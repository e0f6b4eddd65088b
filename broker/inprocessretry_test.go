package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// An in-process consumer that fails is called again after 50 ms, doubling to
// 5 s: also at a dead letter, which is never given up, and however many messages
// there are.
func TestFailingConsumerIsRetriedWithPauses(t *testing.T) {
	for _, messages := range []int{1, 500} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			for i := range messages {
				publish(t, b, "/queue/DLQ.a", fmt.Sprint(i))
			}
			var calls []time.Duration
			start := time.Now()
			s, err := b.Subscribe(t.Context(), "/queue/DLQ.a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error {
				calls = append(calls, time.Since(start))
				return errors.New("the mail server is down")
			})
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(60 * time.Second)
			s.Cancel()
			<-s.Done()
			if len(calls) > 25 {
				t.Fatalf("%d messages: %d calls in a minute", messages, len(calls))
			}
			if messages == 1 {
				want := []time.Duration{0, 50, 150, 350, 750, 1550, 3150, 6350, 11350, 16350}
				for i := range want {
					want[i] *= time.Millisecond
				}
				if !slices.Equal(calls[:len(want)], want) {
					t.Errorf("called after %v, want %v", calls, want)
				}
			}
			if n := b.Stats().QueueMessages; int(n) != messages {
				t.Errorf("%d messages are left of %d", n, messages)
			}
		})
	}
}

// One bad message does not hold up the others, and is a dead letter in the end.
func TestBadMessageHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, broker.Options{Queues: broker.Queues{Attempts: 3}})
		start, good, bad := time.Now(), 0, 0
		_, err := b.Subscribe(t.Context(), "/queue/a", broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
			if string(m.Body) == "bad" {
				bad++
				return errors.New("bad")
			}
			if good++; time.Since(start) > 0 {
				t.Errorf("message %d waited %v", good, time.Since(start))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, b, "/queue/a", "bad")
		for range 10 {
			publish(t, b, "/queue/a", "good")
		}
		<-time.After(time.Second)
		synctest.Wait()
		if good != 10 || bad != 3 {
			t.Errorf("%d good and %d bad calls, want 10 and 3", good, bad)
		}
		for d := range b.Destinations() {
			if d.Name == "/queue/DLQ.a" && d.Messages == 1 {
				return
			}
		}
		t.Error("it is no dead letter")
	})
}
