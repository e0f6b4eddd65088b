package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// hook is an Authorizer that lets patterns be and asks f about everything else.
func hook(f func(ctx context.Context, destination string) error) auth.Authorizer {
	return auth.AuthorizerFunc(func(ctx context.Context, _ *auth.Principal, act auth.Action, d string) error {
		if act == auth.Send || strings.Contains(d, "*") {
			return nil
		}
		return f(ctx, d)
	})
}

// A client that reads is not ended for an authorizer that takes its time, and gets
// everything in order.
func TestSlowAuthorizerDoesNotEndAFastReader(t *testing.T) {
	const n = 1500
	var most, now atomic.Int32
	b := brokertest.New(t, broker.Options{Authorizer: hook(func(ctx context.Context, d string) error {
		for k := now.Add(1); k > most.Load(); {
			most.CompareAndSwap(most.Load(), k)
		}
		defer now.Add(-1)
		time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond) // it is the hook that is slow, not the test
		if strings.HasSuffix(d, "7") {
			return auth.ErrDenied
		}
		return nil
	})})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/**")
	for i := range n {
		publish(t, b, fmt.Sprint("/topic/", i), "x")
	}
	for i := range n {
		if i%10 == 7 {
			continue
		}
		if m := c.Expect(t, "MESSAGE"); m.Get("destination") != fmt.Sprint("/topic/", i) {
			t.Fatalf("%s came, want /topic/%d", m.Get("destination"), i)
		}
	}
	wantMessages(t, c)
	if k := most.Load(); k < 2 || k > 8 {
		t.Errorf("at most %d questions were asked at a time, want 2 to 8", k)
	}
}

// Several patterns of a session share the answers, and what they remember and
// what waits for them is bounded for all of them together.
func TestPatternsShareWhatTheyRemember(t *testing.T) {
	const patterns = 100
	var calls atomic.Int32
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{Outbox: 64 << 20}, Authorizer: hook(func(context.Context, string) error { calls.Add(1); return auth.ErrDenied })})
	c := brokertest.Connect(t, b)
	for i := range patterns {
		c.Subscribe(t, fmt.Sprint(i), fmt.Sprintf("/topic/*%s", strings.Repeat("*", i)))
	}
	name := func(i int) string { return fmt.Sprintf("/topic/%d%s", i, strings.Repeat("x", 900)) }
	settled := func(n int) {
		brokertest.Eventually(t, "everything is answered", func() bool { return int(b.Stats().Denied) >= n })
	}
	publish(t, b, name(0), "x")
	settled(1)
	if n := calls.Load(); n != 1 {
		t.Errorf("%d patterns asked %d times about one destination", patterns, n)
	}
	before := testkit.Heap()
	for i := range 1500 {
		publish(t, b, name(i+1), "x")
		for end := time.Now().Add(time.Minute); b.Stats().Denied < int64(i+2); runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("%d: %d denials, %d calls", i, b.Stats().Denied, calls.Load())
			}
		}
	}
	wantHeld(t, "verdicts", before, 512<<10)
	runtime.KeepAlive(c)
}

// Of a few destinations more than are remembered, most are still known.
func TestVerdictsAreEvictedOneByOne(t *testing.T) {
	var calls atomic.Int32
	b := brokertest.New(t, broker.Options{Authorizer: hook(func(context.Context, string) error { calls.Add(1); return nil })})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	const fit = 256 << 10 / (96 + len("/topic/0000") + 100)
	round := func() {
		for i := range fit + 20 {
			publish(t, b, fmt.Sprintf("/topic/%04d%s", i, strings.Repeat("x", 100)), "x")
			c.Expect(t, "MESSAGE")
		}
	}
	round()
	first := calls.Load()
	round()
	if again := calls.Load() - first; again == 0 || int(again) > fit/2 {
		t.Errorf("of %d destinations, of which %d fit, %d were asked about again", fit+20, fit, again)
	}
}

// A hook that fails withholds one message, and the next asks again.
func TestFailingHookWithholdsOneMessage(t *testing.T) {
	a := make(chan error)
	b := brokertest.New(t, broker.Options{Authorizer: hook(func(context.Context, string) error { return <-a })})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	for i := range 4 {
		publish(t, b, "/topic/a", fmt.Sprint(i))
	}
	publish(t, b, "/topic/a", "last")
	for _, err := range []error{errors.New("down"), errors.New("down"), nil} {
		select {
		case a <- err:
		case <-time.After(time.Minute):
			t.Fatal("nobody asks")
		}
	}
	for _, body := range []string{"2", "3", "last"} {
		expectMessage(t, c, body)
	}
}

// Publishers, a slow hook that denies some, patterns that come and go: nothing
// overtakes, nothing denied arrives, and all goroutines end.
func TestJudgeUnderLoad(t *testing.T) {
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{Outbox: 8 << 20}, Authorizer: hook(func(_ context.Context, d string) error {
		runtime.Gosched()
		if strings.Contains(d, "secret") {
			return auth.ErrDenied
		}
		return nil
	})})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	const publishers, each = 4, 300
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				publish(t, b, fmt.Sprintf("/topic/%d/%d", p, i%50), fmt.Sprint(i))
				publish(t, b, fmt.Sprintf("/topic/secret/%d", i%50), "secret")
			}
		})
	}
	next := [publishers]int{}
	for range publishers * each {
		m := c.Expect(t, "MESSAGE")
		var p, d int
		if _, err := fmt.Sscanf(m.Get("destination"), "/topic/%d/%d", &p, &d); err != nil {
			t.Fatalf("%s came", m.Get("destination"))
		}
		if string(m.Body) != fmt.Sprint(next[p]) {
			t.Fatalf("publisher %d: %s came, want %d", p, m.Body, next[p])
		}
		next[p]++
	}
	testkit.Wait(t, &all)
	wantMessages(t, c)
}
