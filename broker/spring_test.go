package broker_test

// The files spring_*_test.go say what a team that comes from Spring finds again
// and what it does not. Each test is named after the class of Spring whose
// behaviour it is about, and ends in _Differs where this broker deliberately
// does something else; its comment says what Spring does.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// connect sends CONNECT with these headers and returns the answer.
func connect(t *testing.T, b *broker.Broker, headers ...string) (*brokertest.Client, *frames.Frame) {
	t.Helper()
	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Send("CONNECT", "", headers...)
	f, err := c.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return c, f
}

func TestStompSubProtocolHandler_Connected(t *testing.T) {
	_, f := connect(t, brokertest.New(t, broker.Options{}), "accept-version", "1.1,1.0,1.2", "login", "alice", "heart-beat", "5000,5000")
	if f.Command != "CONNECTED" {
		t.Fatalf("got %v", f)
	}
	wantHeaders(t, f, "version", "1.2", "user-name", "alice", "heart-beat", "10000,10000")
}

func TestStompSubProtocolHandler_AnonymousHasNoUserName(t *testing.T) {
	_, f := connect(t, brokertest.New(t, broker.Options{}), "accept-version", "1.2")
	wantHeaders(t, f, "version", "1.2", "user-name", "-")
}

// Spring leaves a client in the dark that names no version, puts a space behind
// a comma, or knows none of its versions: no answer, and the socket stays open.
func TestStompSubProtocolHandler_EveryConnectIsAnswered_Differs(t *testing.T) {
	for name, tc := range map[string]struct {
		headers []string
		version string
	}{
		"1.0 names no version":     {nil, "1.0"},
		"a space behind the comma": {[]string{"accept-version", "1.0, 1.1, 1.2"}, "1.2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, f := connect(t, brokertest.New(t, broker.Options{}), tc.headers...)
			wantHeaders(t, f, "version", tc.version)
		})
	}
	t.Run("no common version", func(t *testing.T) {
		_, f := connect(t, brokertest.New(t, broker.Options{}), "accept-version", "2.0")
		if f.Command != "ERROR" || f.Get("version") != "1.0,1.1,1.2" {
			t.Errorf("got %s %v", f.Command, f.Headers)
		}
	})
}

func TestStompSubProtocolHandler_FrameBeforeConnect(t *testing.T) {
	c := brokertest.Dial(brokertest.New(t, broker.Options{}))
	t.Cleanup(c.Close)
	c.Send("SUBSCRIBE", "", "id", "s", "destination", "/topic/a")
	wantError(t, c, 1008, "authentication required")
}

func TestStompSubProtocolHandler_SecondConnect(t *testing.T) {
	c := brokertest.Connect(t, brokertest.New(t, broker.Options{}))
	c.Send("CONNECT", "", "accept-version", "1.2")
	wantError(t, c, 1002, "already connected")
}

func TestStompSubProtocolHandler_NativeHeadersPassThrough(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	sender, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/a")
	send(t, sender, "/topic/a", "{}", "content-type", "application/json", "x-trace", "7", "priority", "9", "a:b", "c\nd")
	wantHeaders(t, wantMessages(t, c, "{}")[0], "content-type", "application/json", "x-trace", "7", "priority", "9", "a:b", "c\nd", "content-length", "2")
}

// Spring copies every header of a SEND, `receipt`, `id` and tokens among them,
// delivers a `message-id` that the sender chose, and otherwise gives each
// receiver another one.
func TestStompSubProtocolHandler_ReservedHeaders_Differs(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	sender, one, two := brokertest.Connect(t, b), brokertest.Connect(t, b), brokertest.Connect(t, b)
	one.Subscribe(t, "s", "/topic/a")
	two.Subscribe(t, "t", "/topic/a")
	send(t, sender, "/topic/a", "x", "message-id", "forged", "id", "forged", "Authorization", "Bearer secret", "simpUser", "root")
	a, b2 := wantMessages(t, one, "x")[0], wantMessages(t, two, "x")[0]
	wantHeaders(t, a, "receipt", "-", "id", "-", "Authorization", "-", "simpUser", "-", "message-id", b2.Get("message-id"))
	if a.Get("message-id") == "forged" {
		t.Error("the sender chose the message-id")
	}
}

func TestStompSubProtocolHandler_DisconnectReceipt(t *testing.T) {
	c := brokertest.Connect(t, brokertest.New(t, broker.Options{}))
	c.Send("DISCONNECT", "", "receipt", "bye")
	c.ExpectReceipt(t, "bye")
	wantEnd(t, c, 1000)
}

// Spring answers a DISCONNECT without receipt with ERROR "Session closed." and 1002.
func TestStompSubProtocolHandler_DisconnectWithoutReceipt_Differs(t *testing.T) {
	c := brokertest.Connect(t, brokertest.New(t, broker.Options{}))
	c.Send("DISCONNECT", "")
	wantEnd(t, c, 1000)
}

// Spring's ERROR has neither body nor, by default, receipt-id, and carries the
// text of an exception.
func TestStompSubProtocolHandler_ErrorNamesTheFrame_Differs(t *testing.T) {
	c := brokertest.Connect(t, brokertest.New(t, broker.Options{}))
	c.Send("SUBSCRIBE", "", "destination", "/topic/a", "receipt", "r")
	wantHeaders(t, wantError(t, c, 1002, "SUBSCRIBE without an id header"), "receipt-id", "r")
}

// 512 KiB that a client does not read, then 4500: Spring's numbers.
func TestConcurrentWebSocketSessionDecorator_SendBufferSizeLimit(t *testing.T) {
	b := brokertest.New(t, broker.Options{LingerTimeout: patience})
	c := connectSlow(t, b)
	c.send(frame("SUBSCRIBE", "", "id", "s", "destination", "/topic/a", "receipt", "r"))
	if f := c.next(t); f.Get("receipt-id") != "r" {
		t.Fatalf("got %v", f)
	}
	body := strings.Repeat("x", 32<<10)
	for range 512<<10/len(body) + 2 { // what is on its way counts, and what it is written from
		publish(t, b, "/topic/a", body)
	}
	brokertest.Eventually(t, "the slow consumer is cut off", func() bool { return b.Stats().Ended["slow-consumer"] == 1 })
	for f := c.next(t); f.Command != "ERROR"; f = c.next(t) {
		if f.Command != "MESSAGE" {
			t.Fatalf("got %v", f)
		}
	}
	brokertest.Eventually(t, "the close code is 4500", func() bool { return c.code.Load() == 4500 })
}

func TestConcurrentWebSocketSessionDecorator_OthersAreNotHeldUp(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	slow, c := connectSlow(t, b), brokertest.Connect(t, b)
	slow.send(frame("SUBSCRIBE", "", "id", "s", "destination", "/topic/a", "receipt", "r"))
	slow.next(t)
	c.Subscribe(t, "s", "/topic/a")
	var want []string
	for i := range 100 {
		publish(t, b, "/topic/a", fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	wantMessages(t, c, want...)
}
