package broker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A load balancer is told first: Ready says no while sessions go on and new ones
// are let in.
func TestDrainDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, broker.Options{DrainDelay: 10 * time.Second})
		c := brokertest.Connect(t, b, "heart-beat", "0,0")
		drained, since := make(chan error, 1), time.Now()
		go func() { drained <- b.Drain(t.Context()) }()
		synctest.Wait()
		if err := b.Ready(t.Context()); !errors.Is(err, broker.ErrDraining) {
			t.Errorf("Ready says %v", err)
		}
		time.Sleep(9 * time.Second) // of the bubble's clock
		late := brokertest.Connect(t, b, "heart-beat", "0,0")
		c.Sync(t)
		wantEnd(t, c, 1012)
		wantEnd(t, late, 1012)
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if d := time.Since(since); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("drained after %v", d)
		}
	})
}

func TestDrainDelayEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, broker.Options{DrainDelay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		since := time.Now()
		if err := b.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(since) != time.Second {
			t.Errorf("Drain returned %v after %v", err, time.Since(since))
		}
	})
}

// DrainSpread is the time over which many sessions end, and no more than four
// fifths of what the context leaves.
func TestDrainSpread(t *testing.T) {
	for _, tc := range []struct {
		spread, timeout, min, max time.Duration
	}{
		{5 * time.Second, time.Minute, 4 * time.Second, 6 * time.Second},
		{time.Hour, 10 * time.Second, 7 * time.Second, 9 * time.Second},
		{-1, time.Minute, 0, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, broker.Options{DrainSpread: tc.spread})
			for range 200 {
				brokertest.Connect(t, b, "heart-beat", "0,0")
			}
			ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
			defer cancel()
			since := time.Now()
			if err := b.Drain(ctx); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(since); d < tc.min || d > tc.max {
				t.Errorf("spread %v within %v: drained in %v", tc.spread, tc.timeout, d)
			}
		})
	}
}

// Queues are in memory, and their end is not silent.
func TestCloseNamesTheQueuesThatItDiscards(t *testing.T) {
	j := newJournal()
	b := newBroker(t, broker.Options{Logger: j.logger()})
	publish(t, b, "/queue/jobs", "one")
	publish(t, b, "/queue/jobs", "two")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	l := j.await(t, "queue discarded: its messages were in memory only", 1)
	wantAttrs(t, l, "queue", "/queue/jobs", "messages", "2")
	if n := len(j.all(l.text)); n != 1 {
		t.Errorf("%d records", n)
	}
}
