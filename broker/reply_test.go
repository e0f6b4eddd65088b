package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

// A handler that reports progress and goes on working holds nothing back: not
// its reply, not what others publish to that session, and no heart-beat.
func TestReplyIsSentBeforeTheHandlerReturns(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(time.Second, -1), PingInterval: -1})
		leave := make(chan struct{})
		handle(t, b, "/slow", func(ctx context.Context, r *broker.Request) error {
			for i := range 3 {
				if _, err := r.Reply(ctx, &broker.Message{Body: fmt.Append(nil, "progress ", i)}); err != nil {
					return err
				}
			}
			select {
			case <-leave:
			case <-ctx.Done():
			}
			return nil
		})
		p := pipe(t, b, ws).connect(t, "heart-beat", "0,1000")
		p.subscribe(t, "1", "/user/queue/slow")
		p.subscribe(t, "2", "/topic/a")
		start := time.Now()
		p.send(t, "SEND", "", "destination", "/app/slow")
		for i := range 3 {
			if e := p.want(t, "MESSAGE"); string(e.f.Body) != fmt.Sprint("progress ", i) || e.at != start {
				t.Errorf("after %v came %v, want reply %d at once", e.at.Sub(start), e, i)
			}
		}
		publish(t, b, "/topic/a", "meanwhile")
		if e := p.want(t, "MESSAGE"); string(e.f.Body) != "meanwhile" || e.at != start {
			t.Errorf("after %v came %v, want the other's message at once", e.at.Sub(start), e)
		}
		for last := start; last.Sub(start) < 5*time.Second; {
			e := p.want(t, "eol")
			if e.at.Sub(last) > time.Second {
				t.Errorf("no heart-beat for %v", e.at.Sub(last))
			}
			last = e.at
		}
		close(leave)
	})
}

// So is each later reply, though the client has read all that was there before,
// so that no writer is under way that could take it along.
func TestLaterRepliesAreSentBeforeTheHandlerReturns(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(-1, -1), PingInterval: -1})
		next, returned := make(chan int), make(chan struct{})
		handle(t, b, "/slow", func(ctx context.Context, r *broker.Request) error {
			defer close(returned)
			for i := range next {
				if _, err := r.Reply(ctx, &broker.Message{Body: fmt.Append(nil, "progress ", i)}); err != nil {
					return err
				}
			}
			return nil
		})
		p := pipe(t, b, ws).connect(t)
		p.subscribe(t, "1", "/user/queue/slow")
		start := time.Now()
		p.send(t, "SEND", "", "destination", "/app/slow")
		defer func() {
			close(next)
			<-returned
		}()
		for i := range 4 {
			next <- i
			synctest.Wait()
			e, ok := p.within(time.Minute)
			if !ok || e.what != "MESSAGE" || string(e.f.Body) != fmt.Sprint("progress ", i) || e.at != start {
				t.Fatalf("after %v came %v, want reply %d at once", time.Since(start), e, i)
			}
		}
	})
}

// Goroutines of a handler may reply at once, also while others publish.
func TestRepliesOfSeveralGoroutines(t *testing.T) {
	const n = 100
	b := brokertest.New(t, broker.Options{})
	handle(t, b, "/many", func(ctx context.Context, r *broker.Request) error {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if _, err := r.Reply(ctx, &broker.Message{Body: []byte("x")}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		return nil
	})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/user/queue/many")
	c.Send("SEND", "", "destination", "/app/many", "receipt", "r")
	for range n {
		expectMessage(t, c, "x")
	}
	c.ExpectReceipt(t, "r")
	c.Send("SUBSCRIBE", "", "destination", "/app/many", "id", "2", "receipt", "s")
	c.ExpectReceipt(t, "s") // first, whatever the handler replies
	for range n {
		expectMessage(t, c, "x")
	}
}

// Whatever code of the program a frame leads to, what the frames before it have
// put into others' outboxes is written first.
func TestUserCodeHoldsNothingBack(t *testing.T) {
	leave := make(chan struct{})
	block := func() { <-leave }
	for _, tc := range []struct {
		name   string
		o      broker.Options
		frames func() []byte
		before func(b *broker.Broker, slow *brokertest.Client)
	}{
		{name: "selector", o: broker.Options{Selector: func(e string) (func(*broker.Message) bool, error) {
			block()
			return selector.Compile(e)
		}}, frames: func() []byte {
			return encode(frame("SUBSCRIBE", "", "id", "2", "destination", "/topic/b", "selector", "headers.a == '1'"))
		}},
		{name: "authorizer", o: broker.Options{Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ *auth.Principal, _ auth.Action, d string) error {
			if d == "/topic/slow" {
				block()
			}
			return nil
		})}, frames: func() []byte { return encode(frame("SEND", "", "destination", "/topic/slow")) }},
		{name: "settled", before: func(b *broker.Broker, slow *brokertest.Client) {
			slow.Subscribe(t, "s", "/user/queue/s", "ack", "client-individual")
			m := &broker.Message{Destination: "/queue/s", Settled: func(string, broker.Outcome) { block() }}
			if _, err := b.PublishToUser(t.Context(), "slow", m); err != nil {
				t.Error(err)
			}
		}, frames: func() []byte { return encode(frame("UNSUBSCRIBE", "", "id", "s")) }},
		{name: "observer", before: func(b *broker.Broker, _ *brokertest.Client) {
			b.Observe(broker.Observer{Subscribed: func(_ broker.SessionInfo, d, _ string) {
				if d == "/topic/slow" {
					block()
				}
			}})
		}, frames: func() []byte { return encode(frame("SUBSCRIBE", "", "id", "2", "destination", "/topic/slow")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leave = make(chan struct{})
				b := brokertest.New(t, tc.o)
				other, slow := brokertest.Connect(t, b), brokertest.Connect(t, b, "login", "slow")
				other.Subscribe(t, "1", "/topic/a")
				if tc.before != nil {
					tc.before(b, slow)
				}
				start := time.Now()
				time.AfterFunc(5*time.Second, func() { close(leave) })
				slow.Write(append(encode(frame("SEND", "for others", "destination", "/topic/a")), tc.frames()...))
				expectMessage(t, other, "for others")
				if d := time.Since(start); d > 0 {
					t.Errorf("another client waited for %v", d)
				}
				<-leave
				synctest.Wait()
			})
		})
	}
}
