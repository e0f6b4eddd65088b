package interop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// goClient is a connection of go-stomp, over TCP or over a WebSocket.
type goClient struct {
	*stomp.Conn
	t *testing.T
}

// quietLogger keeps go-stomp from writing to the standard log.
type quietLogger struct{}

func (quietLogger) Debugf(string, ...any)   {}
func (quietLogger) Infof(string, ...any)    {}
func (quietLogger) Warningf(string, ...any) {}
func (quietLogger) Errorf(string, ...any)   {}
func (quietLogger) Debug(string)            {}
func (quietLogger) Info(string)             {}
func (quietLogger) Warning(string)          {}
func (quietLogger) Error(string)            {}

// roomy makes go-stomp write frames of up to 128 KiB at once. Its default of
// 4 KiB cuts larger ones, and over a WebSocket each piece is a message. (The
// size of the writer is taken from ReadBufferSize, but WriteBufferSize must be
// set for it to be.)
func roomy(c *stomp.Conn) error {
	return errors.Join(stomp.ConnOpt.ReadBufferSize(128<<10)(c), stomp.ConnOpt.WriteBufferSize(128<<10)(c))
}

// goDial connects with one version and no heart-beats that matter.
func goDial(t *testing.T, f *fixture, transport string, v stomp.Version, opts ...func(*stomp.Conn) error) *goClient {
	t.Helper()
	opts = append([]func(*stomp.Conn) error{
		stomp.ConnOpt.AcceptVersion(v), stomp.ConnOpt.Login("alice", "secret"), stomp.ConnOpt.Logger(quietLogger{}),
		stomp.ConnOpt.UnsubscribeReceiptTimeout(0), // see unsubscribe
	}, opts...)
	var c *stomp.Conn
	var err error
	if transport == "tcp" {
		c, err = stomp.Dial("tcp", f.TCP, opts...)
	} else {
		var ws *websocket.Conn
		ws, _, err = websocket.Dial(t.Context(), f.URL, &websocket.DialOptions{Subprotocols: []string{"v" + strings.ReplaceAll(string(v), ".", "") + ".stomp"}})
		if err != nil {
			t.Fatal(err)
		}
		ws.SetReadLimit(-1)
		c, err = stomp.Connect(websocket.NetConn(context.Background(), ws, websocket.MessageText), opts...)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.MustDisconnect() }) // closed already where the test went well
	return &goClient{c, t}
}

func (c *goClient) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// send sends with a receipt and so waits until it, and all before it, was handled.
func (c *goClient) send(destination, body string) {
	c.t.Helper()
	c.must(c.Send(destination, "text/plain", []byte(body), stomp.SendOpt.Receipt))
}

func (c *goClient) sync() {
	c.t.Helper()
	c.send("/topic/nobody", "x")
}

// subscribe waits until the subscription is active. go-stomp takes a receipt
// of a SUBSCRIBE for the end of the subscription, so it may not ask for one.
func (c *goClient) subscribe(destination string, mode stomp.AckMode) *stomp.Subscription {
	c.t.Helper()
	sub, err := c.Subscribe(destination, mode)
	c.must(err)
	c.sync()
	return sub
}

// unsubscribe waits for the receipt, which go-stomp shows by closing the
// channel. That Unsubscribe itself returns cannot be relied on: the wake-up it
// waits for may come just before it waits. (With a timeout it would wait in
// one more goroutine, and lose the wake-up often.)
func (c *goClient) unsubscribe(sub *stomp.Subscription) {
	c.t.Helper()
	go func() { _ = sub.Unsubscribe() }() // an error comes through the channel as well
	timeout := time.After(time.Minute)
	for {
		select {
		case m, open := <-sub.C:
			if !open {
				return
			}
			c.must(m.Err)
		case <-timeout:
			c.t.Fatal("no RECEIPT of UNSUBSCRIBE within 10 s")
		}
	}
}

// read returns the next message and checks its body.
func (c *goClient) read(sub *stomp.Subscription, body string) *stomp.Message {
	c.t.Helper()
	select {
	case m := <-sub.C:
		if m == nil || m.Err != nil {
			c.t.Fatalf("waiting for %q: the subscription ended: %v", body, m)
		}
		if string(m.Body) != body {
			c.t.Fatalf("got %.40q, want %.40q", m.Body, body)
		}
		return m
	case <-time.After(time.Minute):
		c.t.Fatalf("not within a minute: %.40q", body)
		return nil
	}
}

// nothing fails if a message has come. What the broker did before is here after sync.
func (c *goClient) nothing(sub *stomp.Subscription) {
	c.t.Helper()
	c.sync()
	select {
	case m := <-sub.C:
		c.t.Errorf("unexpected message %q", m.Body)
	default:
	}
}

// TestGoStomp is go-stomp v3, over TCP and over WebSocket.
func TestGoStomp(t *testing.T) {
	t.Parallel()
	f := start(t, broker.Options{})
	for _, transport := range []string{"tcp", "websocket"} {
		for _, v := range []stomp.Version{stomp.V10, stomp.V11, stomp.V12} {
			name := func(s string) string { return fmt.Sprintf("%s %s %s", transport, v, s) }
			queue := fmt.Sprintf("/queue/go-%s-%s", transport, v)
			topic := fmt.Sprintf("/topic/go-%s-%s", transport, v)
			dial := func(t *testing.T, opts ...func(*stomp.Conn) error) *goClient {
				return goDial(t, f, transport, v, opts...)
			}
			t.Run(name("exchange"), func(t *testing.T) { goExchange(t, f, topic, dial) })
			t.Run(name("ack client"), func(t *testing.T) { goAckClient(dial(t), queue+"-client") })
			t.Run(name("ack auto"), func(t *testing.T) { goAckAuto(dial(t), queue+"-auto") })
			t.Run(name("transactions"), func(t *testing.T) { goTransactions(dial(t), topic+"-tx", queue+"-tx") })
			t.Run(name("denied"), func(t *testing.T) { goDenied(dial(t)) })
			if v == stomp.V10 {
				t.Run(name("no nack"), func(t *testing.T) { goNoNack(dial(t), queue+"-nonack") })
				continue
			}
			t.Run(name("ack client-individual and nack"), func(t *testing.T) { goAckIndividual(dial(t), queue+"-individual") })
		}
	}
	f.quiet(t)
}

type dialer func(t *testing.T, opts ...func(*stomp.Conn) error) *goClient

func goExchange(t *testing.T, f *fixture, topic string, dial dialer) {
	a, b := dial(t, roomy), dial(t, roomy)
	if !strings.HasPrefix(a.Server(), "hoofbeat") || len(a.Session()) != 32 || a.Session() == b.Session() {
		t.Errorf("server %q, sessions %q and %q", a.Server(), a.Session(), b.Session())
	}
	sub := b.subscribe(topic, stomp.AckAuto)

	odd := "plain"
	if a.Version() != stomp.V10 {
		odd = "back\\slash:colon\nline"
	}
	a.must(a.Send(topic, "text/x-odd", []byte("ž 🐎"), stomp.SendOpt.Receipt,
		stomp.SendOpt.Header("x-odd", odd), stomp.SendOpt.Header("x-odd", "second")))
	m := b.read(sub, "ž 🐎")
	if m.Destination != topic || m.ContentType != "text/x-odd" || m.Header.Get("x-odd") != odd {
		t.Errorf("destination %q, content-type %q, x-odd %q", m.Destination, m.ContentType, m.Header.Get("x-odd"))
	}
	if got := m.Header.GetAll("x-odd"); !slices.Equal(got, []string{odd, "second"}) {
		t.Errorf("trap 14: repeated headers came as %q", got)
	}
	if m.Header.Get("message-id") == "" || m.Header.Get("subscription") != sub.Id() || m.Header.Get("receipt") != "" {
		t.Errorf("headers of MESSAGE: %v", m.Header)
	}

	a.must(a.Send(topic, "", []byte("no length"), stomp.SendOpt.NoContentLength))
	b.read(sub, "no length")
	a.must(a.Send(topic, "", nil, stomp.SendOpt.Receipt))
	b.read(sub, "")
	large := strings.Repeat("汉字", 10_000)
	a.send(topic, large)
	b.read(sub, large)
	for i := range 200 {
		a.must(a.Send(topic, "", fmt.Append(nil, i)))
	}
	for i := range 200 {
		b.read(sub, fmt.Sprint(i))
	}

	b.unsubscribe(sub)
	a.send(topic, "late")
	b.sync()
	b.must(b.Disconnect())
	brokertest.Eventually(t, "the session of a goodbye ends as one", func() bool {
		return f.reasonOf(b.Session()) == broker.ReasonDisconnect
	})
	a.must(a.Disconnect())
}

// goSubscribeAgain ends a subscription and opens one for the same queue.
func goSubscribeAgain(c *goClient, sub *stomp.Subscription, mode stomp.AckMode) *stomp.Subscription {
	c.t.Helper()
	c.unsubscribe(sub)
	return c.subscribe(sub.Destination(), mode)
}

func goAckClient(c *goClient, queue string) {
	for _, body := range []string{"a", "b", "c", "d"} {
		c.send(queue, body)
	}
	sub := c.subscribe(queue, stomp.AckClient)
	c.read(sub, "a")
	second := c.read(sub, "b")
	c.read(sub, "c")
	c.read(sub, "d")
	c.must(c.Ack(second))
	sub = goSubscribeAgain(c, sub, stomp.AckClient)
	if m := c.read(sub, "c"); m.Header.Get("redelivered") != "true" {
		c.t.Errorf("redelivered is %q", m.Header.Get("redelivered"))
	}
	c.must(c.Ack(c.read(sub, "d")))
	c.nothing(goSubscribeAgain(c, sub, stomp.AckAuto))
	c.must(c.Disconnect())
}

func goAckAuto(c *goClient, queue string) {
	c.send(queue, "a")
	sub := c.subscribe(queue, stomp.AckAuto)
	m := c.read(sub, "a")
	c.must(c.Ack(m)) // go-stomp sends nothing here
	c.nothing(goSubscribeAgain(c, sub, stomp.AckAuto))
	c.must(c.Disconnect())
}

func goAckIndividual(c *goClient, queue string) {
	for _, body := range []string{"a", "b", "c"} {
		c.send(queue, body)
	}
	sub := c.subscribe(queue, stomp.AckClientIndividual)
	first, second := c.read(sub, "a"), c.read(sub, "b")
	c.read(sub, "c")
	c.must(c.Ack(second))
	c.must(c.Nack(first))
	again := c.read(sub, "a")
	if again.Header.Get("redelivered") != "true" || again.Header.Get("message-id") != first.Header.Get("message-id") {
		c.t.Errorf("delivered again with headers %v", again.Header)
	}
	c.must(c.Ack(again))
	sub = goSubscribeAgain(c, sub, stomp.AckAuto)
	c.read(sub, "c")
	c.nothing(sub)
	c.must(c.Disconnect())
}

func goNoNack(c *goClient, queue string) {
	c.send(queue, "a")
	sub := c.subscribe(queue, stomp.AckClient)
	if err := c.Nack(c.read(sub, "a")); !errors.Is(err, stomp.ErrNackNotSupported) {
		c.t.Errorf("NACK in 1.0: %v", err)
	}
	c.must(c.Disconnect())
}

func goTransactions(c *goClient, topic, queue string) {
	sub := c.subscribe(topic, stomp.AckAuto)
	kept, err := c.BeginWithError()
	c.must(err)
	lost, err := c.BeginWithError()
	c.must(err)
	c.must(kept.Send(topic, "", []byte("in 1"), stomp.SendOpt.Receipt))
	c.must(lost.Send(topic, "", []byte("never")))
	c.must(kept.Send(topic, "", []byte("in 2")))
	c.send(topic, "outside")
	c.must(kept.CommitWithReceipt())
	c.must(lost.AbortWithReceipt())
	c.send(topic, "after")
	for _, body := range []string{"outside", "in 1", "in 2", "after"} {
		c.read(sub, body)
	}

	c.send(queue, "a")
	c.send(queue, "b")
	consumer := c.subscribe(queue, stomp.AckClient)
	a, _ := c.read(consumer, "a"), c.read(consumer, "b")
	tx, err := c.BeginWithError()
	c.must(err)
	c.must(tx.Ack(a))
	c.must(tx.CommitWithReceipt())
	consumer = goSubscribeAgain(c, consumer, stomp.AckClient)
	b := c.read(consumer, "b")
	tx, err = c.BeginWithError()
	c.must(err)
	c.must(tx.Ack(b))
	c.must(tx.AbortWithReceipt())
	consumer = goSubscribeAgain(c, consumer, stomp.AckAuto)
	c.read(consumer, "b")
	c.must(c.Disconnect())
}

func goDenied(c *goClient) {
	sub, err := c.Subscribe("/topic/forbidden", stomp.AckAuto)
	c.must(err)
	select {
	case m := <-sub.C:
		var failed *stomp.Error
		if m == nil || !errors.As(m.Err, &failed) || failed.Message != `not allowed to subscribe to "/topic/forbidden"` {
			c.t.Errorf("the subscription ended with %+v", m)
		}
	case <-time.After(time.Minute):
		c.t.Error("no ERROR within a minute")
	}
}

// TestGoStompBinary is for what a text message cannot carry.
func TestGoStompBinary(t *testing.T) {
	t.Parallel()
	f := start(t, broker.Options{})
	every := make([]byte, 1024)
	for i := range every {
		every[i] = byte(i)
	}
	c := goDial(t, f, "tcp", stomp.V12)
	sub := c.subscribe("/topic/binary", stomp.AckAuto)
	c.must(c.Send("/topic/binary", "application/octet-stream", every, stomp.SendOpt.Receipt))
	c.read(sub, string(every))
	c.must(c.Disconnect())

	bad := goDial(t, f, "websocket", stomp.V12)
	if err := bad.Send("/topic/binary", "application/octet-stream", every, stomp.SendOpt.Receipt); err == nil {
		t.Error("a text message that is no UTF-8 was taken")
	}
	brokertest.Eventually(t, "the session ends", func() bool { return f.reasonOf(bad.Session()) == broker.ReasonInvalidText })
}

// TestGoStompInPieces has one frame in many WebSocket messages (trap 42).
func TestGoStompInPieces(t *testing.T) {
	t.Parallel()
	f := start(t, broker.Options{})
	c := goDial(t, f, "websocket", stomp.V12) // not roomy: 4 KiB each
	sub := c.subscribe("/topic/pieces", stomp.AckAuto)
	body := string(bytes.Repeat([]byte("0123456789abcdef"), 3000))
	c.send("/topic/pieces", body)
	c.read(sub, body)
	c.must(c.Disconnect())
}

// TestGoStompHeartBeats waits for heart-beats in both directions.
func TestGoStompHeartBeats(t *testing.T) {
	t.Parallel()
	f := start(t, quickly())
	for _, transport := range []string{"tcp", "websocket"} {
		t.Run(transport, func(t *testing.T) {
			c := goDial(t, f, transport, stomp.V12, stomp.ConnOpt.WithStats(),
				stomp.ConnOpt.HeartBeat(quick, quick), stomp.ConnOpt.HeartBeatError(testkit.Patience))
			// The reads are heart-beats; the broker ends the session when none comes
			// for three intervals. go-stomp must not, on a machine that is busy.
			brokertest.Eventually(t, "six heart-beats", func() bool { return c.Stats().ReadsReceived >= 6 })
			sub := c.subscribe("/topic/alive", stomp.AckAuto)
			c.send("/topic/alive", "alive")
			c.read(sub, "alive")
			c.must(c.Disconnect())
		})
	}
	f.quiet(t)
}
