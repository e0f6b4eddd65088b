package broker_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// publish sends body from the program.
func publish(t testing.TB, b *broker.Broker, destination, body string) {
	t.Helper()
	if err := b.Publish(context.Background(), &broker.Message{Destination: destination, Body: []byte(body)}); err != nil {
		t.Fatalf("publish to %s: %v", destination, err)
	}
	handedOver(b)
}

// meanwhile runs f again and again on another goroutine until stop is called, or
// the test is over.
func meanwhile(t *testing.T, f func()) (stop func()) {
	t.Helper()
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			default:
				f()
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(over)
		testkit.Receive(t, ended)
	})
	t.Cleanup(stop)
	return stop
}

// send sends body from a client that is not itself subscribed, and returns when
// the broker has dealt with it: it is in the outbox of every subscriber.
func send(t testing.TB, c *brokertest.Client, destination, body string, headers ...string) {
	t.Helper()
	c.Send("SEND", body, append([]string{"destination", destination, "receipt", "sent"}, headers...)...)
	c.ExpectReceipt(t, "sent")
}

// wantMessages fails unless exactly these bodies have come for c, in order.
func wantMessages(t testing.TB, c *brokertest.Client, bodies ...string) []*frames.Frame {
	t.Helper()
	got := c.Sync(t)
	if have := bodiesOf(t, got); !slices.Equal(have, bodies) {
		t.Fatalf("received %q, want %q", have, bodies)
	}
	return got
}

// bodiesOf returns the bodies of frames that must all be messages.
func bodiesOf(t testing.TB, list []*frames.Frame) []string {
	t.Helper()
	var bodies []string
	for _, f := range list {
		if f.Command != "MESSAGE" {
			t.Fatalf("got %s %v %q among the messages", f.Command, f.Headers, f.Body)
		}
		bodies = append(bodies, string(f.Body))
	}
	return bodies
}

// expectMessage waits for a MESSAGE with this body.
func expectMessage(t testing.TB, c *brokertest.Client, body string) *frames.Frame {
	t.Helper()
	m := c.Expect(t, "MESSAGE")
	if string(m.Body) != body {
		t.Fatalf("received %q, want %q", m.Body, body)
	}
	return m
}

// wantHeaders fails unless f has these headers, given as name, value, name,
// value. A value of "-" says that there must be none of that name.
func wantHeaders(t testing.TB, f *frames.Frame, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		got, ok := f.Lookup(pairs[i])
		switch {
		case pairs[i+1] == "-" && ok:
			t.Errorf("%s has %s:%s, want no such header", f.Command, pairs[i], got)
		case pairs[i+1] != "-" && (!ok || got != pairs[i+1]):
			t.Errorf("%s has %s:%q (present: %v), want %q; all: %v", f.Command, pairs[i], got, ok, pairs[i+1], f.Headers)
		}
	}
}

// wantError expects an ERROR that says so as the next and last frame, then the
// end of the session with that close code.
func wantError(t testing.TB, c *brokertest.Client, code int, message string) *frames.Frame {
	t.Helper()
	f := c.Expect(t, "ERROR")
	if got := f.Get("message"); !strings.Contains(got, message) {
		t.Errorf("ERROR says %q, want %q in it", got, message)
	}
	if string(f.Body) != f.Get("message") || f.Get("content-type") != "text/plain" {
		t.Errorf("ERROR has the body %q as %q, want its message as text/plain", f.Body, f.Get("content-type"))
	}
	wantEnd(t, c, code)
	return f
}

// wantEnd expects the end of the session, and not a frame more.
func wantEnd(t testing.TB, c *brokertest.Client, code int) {
	t.Helper()
	if f, err := c.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame came %v (%v), want the end", f, err)
	}
	c.Ended(t)
	if got := c.CloseCode(); got != code {
		t.Errorf("the close code is %d, want %d", got, code)
	}
}

// rules compiles rules of a test.
func rules(t testing.TB, list ...auth.Rule) *auth.Rules {
	t.Helper()
	r, err := auth.NewRules(list...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func allow(destination string, actions ...auth.Action) auth.Rule {
	return auth.Rule{Effect: auth.Allow, Actions: actions, Destination: destination, AnyUser: true}
}

func deny(destination string, actions ...auth.Action) auth.Rule {
	return auth.Rule{Effect: auth.Deny, Actions: actions, Destination: destination}
}

// handle registers a function as handler.
func handle(t testing.TB, b *broker.Broker, pattern string, f broker.HandlerFunc) {
	t.Helper()
	if err := b.Handle(pattern, f); err != nil {
		t.Fatal(err)
	}
}

// encode writes frames as a client that has not connected yet does, into one
// chunk of bytes.
func encode(list ...frames.Frame) []byte {
	var p []byte
	for i := range list {
		p = frames.Append(p, frames.V12, &list[i])
	}
	return p
}

// frame makes a frame from header pairs.
func frame(command, body string, pairs ...string) frames.Frame {
	f := frames.Frame{Command: command, Body: []byte(body)}
	for i := 0; i < len(pairs); i += 2 {
		f.Headers = append(f.Headers, frames.Header{Name: pairs[i], Value: pairs[i+1]})
	}
	return f
}
