package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
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

// Publishers, subscribers that stay, subscribers that come and go, clients that
// vanish and clients that break the rules, all at once: every subscriber that
// stays gets each message exactly once, in the order of its publisher.
func TestExactlyOnceInOrderAmongChaos(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Limits: broker.Limits{Outbox: 16 << 20}})
	b := srv.Broker
	const publishers, each = 4, 400
	var noise, work sync.WaitGroup
	quit := make(chan struct{})
	loop := func(f func(i int)) {
		noise.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-quit:
					return
				default:
					f(i)
				}
			}
		})
	}
	stay := []*peer{rawWebSocket(t, srv), rawTCP(t, srv), rawWebSocket(t, srv)}
	for i, p := range stay {
		p.connect(t, "heart-beat", "0,0")
		p.subscribe(t, "1", []string{"/topic/chaos/a", "/topic/chaos/a", "/topic/chaos/*"}[i])
	}
	fickle := brokertest.Connect(t, b)
	loop(func(int) { // subscribes and unsubscribes: nothing after the receipt of the latter
		fickle.Send("SUBSCRIBE", "", "id", "x", "destination", "/topic/chaos/**")
		fickle.Send("UNSUBSCRIBE", "", "id", "x", "receipt", "off")
		for {
			f, err := fickle.Receive()
			if err != nil {
				t.Error(err)
				return
			}
			if f.Command == "RECEIPT" {
				return
			}
		}
	})
	loop(func(i int) { // vanishes, with or without breaking the rules before
		c := brokertest.Dial(b)
		c.Send("CONNECT", "", "accept-version", "1.2", "login", "ghost"+strconv.Itoa(i%3))
		c.Send("SUBSCRIBE", "", "id", "x", "destination", "/topic/chaos/a")
		if i%2 == 0 {
			c.Write([]byte("HELLO\n"))
		}
		c.Close()
	})
	loop(func(i int) { // the program watches and publishes too
		s, err := b.Subscribe(context.Background(), "/topic/chaos/*", broker.SubscribeOptions{Buffer: 10}, func(context.Context, *broker.Message) error { return nil })
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = b.PublishToUser(context.Background(), "ghost1", &broker.Message{Destination: "/queue/x"}) // reaches whom it reaches
		_ = b.Stats()
		for range b.Sessions() {
		}
		s.Cancel()
		select {
		case <-s.Done():
		case <-time.After(testkit.Patience):
			t.Error("a subscription that was canceled has not ended")
		}
	})
	for p := range publishers {
		work.Go(func() {
			if p%2 == 0 {
				for i := range each {
					_ = b.Publish(context.Background(), &broker.Message{Destination: "/topic/chaos/a", Body: fmt.Appendf(nil, "%d %d", p, i)}) // what is missing is missed below
				}
				return
			}
			c := brokertest.Connect(t, b)
			for i := range each {
				c.Send("SEND", fmt.Sprintf("%d %d", p, i), "destination", "/topic/chaos/a")
			}
			c.Sync(t)
		})
	}
	for n, p := range stay {
		work.Go(func() {
			next := make([]int, publishers)
			for range publishers * each {
				e, ok := p.within(patience)
				if !ok || e.what != "MESSAGE" {
					t.Errorf("subscriber %d got %v", n, e)
					return
				}
				from, number, _ := strings.Cut(string(e.f.Body), " ")
				k, _ := strconv.Atoi(from)
				if i, err := strconv.Atoi(number); err != nil || i != next[k] {
					t.Errorf("subscriber %d got %q, want number %d", n, e.f.Body, next[k])
					return
				}
				next[k]++
			}
		})
	}
	testkit.Wait(t, &work)
	close(quit)
	testkit.Wait(t, &noise)
	for n, p := range stay { // and not one more
		p.send(t, "SEND", "", "destination", "/topic/else", "receipt", "end")
		if e := p.next(t); e.what != "RECEIPT" {
			t.Errorf("subscriber %d got %v beyond its messages", n, e)
		}
	}
}

// Drain and Close, in the middle of everything, more than once at a time.
func TestDrainAndCloseAmongChaos(t *testing.T) {
	for round := range 6 {
		b, err := broker.New(broker.Options{Authenticator: wallet()})
		if err != nil {
			t.Fatal(err)
		}
		var work sync.WaitGroup
		var over atomic.Bool
		for range 4 {
			work.Go(func() { // clients come, talk, and are sent away
				for !over.Load() {
					c := brokertest.Dial(b)
					c.Send("CONNECT", "", "accept-version", "1.2", "ticket", "alice")
					c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/a")
					c.Send("SUBSCRIBE", "", "id", "2", "destination", "/queue/a")
					for {
						if _, err := c.Receive(); err != nil {
							if !errors.Is(err, io.EOF) {
								t.Error(err)
							}
							break
						}
						if round%2 == 0 {
							break
						}
					}
					c.Close()
				}
			})
		}
		for range 2 {
			work.Go(func() {
				for i := 0; ; i++ {
					for _, d := range []string{"/topic/a", "/queue/a"} {
						err := b.Publish(context.Background(), &broker.Message{Destination: d, Body: []byte(strconv.Itoa(i))})
						if errors.Is(err, broker.ErrClosed) {
							return
						}
						if err != nil && !errors.Is(err, broker.ErrQueueFull) {
							t.Error(err)
						}
					}
				}
			})
			work.Go(func() {
				for {
					s, err := b.Subscribe(context.Background(), "/topic/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil })
					if err != nil {
						return
					}
					s.Cancel()
				}
			})
		}
		brokertest.Eventually(t, "the chaos has begun", func() bool { return b.Stats().Opened > 4 && b.Stats().Delivered > 100 })
		var enders sync.WaitGroup
		for i := range 4 {
			enders.Go(func() {
				if i%2 == 0 {
					_ = b.Drain(t.Context()) // whoever comes first
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		testkit.Wait(t, &enders)
		over.Store(true)
		testkit.Wait(t, &work)
		if st := b.Stats(); st.Sessions != 0 || st.Sockets != 0 || st.Users != 0 || st.Subscriptions != 0 {
			t.Fatalf("round %d: after Close: %+v", round, st)
		}
	}
}

// A session that has ended asks no hook any more about what was waiting.
func TestEndedSessionAsksNothingMore(t *testing.T) {
	for range 40 {
		var asked atomic.Int32
		b := brokertest.New(t, broker.Options{Authorizer: auth.AuthorizerFunc(func(ctx context.Context, _ *auth.Principal, act auth.Action, destination string) error {
			if destination != "/topic/slow" {
				return nil
			}
			asked.Add(1)
			<-ctx.Done()
			return ctx.Err()
		})})
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "1", "/topic/*")
		for range 1000 {
			publish(t, b, "/topic/slow", "x")
		}
		brokertest.Eventually(t, "the first is asked for", func() bool { return asked.Load() == 1 })
		if err := b.Disconnect(c.Session, ""); err != nil {
			t.Fatal(err)
		}
		c.Ended(t)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if n := asked.Load(); n != 1 {
			t.Fatalf("asked %d times more after the end", n-1)
		}
	}
}
