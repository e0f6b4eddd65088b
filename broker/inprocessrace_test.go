package broker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// Subscriptions that begin and end while messages come: whatever the moment,
// nothing is called after Done, and a call that begins after Cancel has
// returned finds its context over.
func TestLocalRace(t *testing.T) {
	b := newBroker(t, broker.Options{})
	stop := meanwhile(t, func() {
		for _, d := range []string{"/topic/a", "/queue/a"} {
			// The queue fills up at times, which is no matter here.
			if err := b.Publish(context.Background(), &broker.Message{Destination: d}); err != nil && !errors.Is(err, broker.ErrQueueFull) {
				t.Error(err)
			}
		}
	})
	for round := range 300 {
		var cancelled, done atomic.Bool
		ctx, cancel := context.WithCancel(context.Background())
		s, err := b.Subscribe(ctx, []string{"/topic/a", "/queue/a"}[round%2], broker.SubscribeOptions{Buffer: 1 + round%3}, func(ctx context.Context, _ *broker.Message) error {
			if done.Load() || cancelled.Load() && ctx.Err() == nil {
				t.Error("a call began after the end")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if round%5 == 0 {
			cancel()
		} else {
			s.Cancel()
			cancelled.Store(true)
		}
		testkit.Receive(t, s.Done())
		done.Store(true)
		cancel()
	}
	stop()
}

// A context may end at any moment of the call that takes it.
func TestLocalContextEndsDuringSubscribe(t *testing.T) {
	b := newBroker(t, broker.Options{})
	for range 500 {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		s, err := b.Subscribe(ctx, "/topic/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil })
		if err == nil {
			testkit.Receive(t, s.Done())
		}
		testkit.Receive(t, ctx.Done())
	}
	if n := b.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// Close may come while another goroutine subscribes: the subscription is
// refused or ends.
func TestLocalSubscribeDuringClose(t *testing.T) {
	for round := range 200 {
		b := newBroker(t, broker.Options{})
		closed := make(chan error, 1)
		go func() { closed <- b.Close() }()
		s, err := b.Subscribe(context.Background(), []string{"/queue/a", "/topic/a"}[round%2], broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil })
		if err := testkit.Receive(t, closed); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			continue
		}
		brokertest.Eventually(t, "a subscription has ended with its broker", func() bool {
			select {
			case <-s.Done():
				return true
			default:
				return false
			}
		})
	}
}
