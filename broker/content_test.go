package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// connectAs connects for one version.
func (p *peer) connectAs(t testing.TB, version frames.Version) *peer {
	t.Helper()
	p.send(t, "CONNECT", "", "accept-version", version.String(), "heart-beat", "0,0")
	p.want(t, "CONNECTED")
	p.version = version
	p.dec.SetVersion(version)
	return p
}

// A NUL in a body reaches nobody who may take it for the end of the frame, and
// everybody else as it was sent.
func TestNULInABody(t *testing.T) {
	t.Parallel()
	const body, cleaned = "a\x00\x00MESSAGE\n\nb\x00", "a\ufffdMESSAGE\n\nb\ufffd"
	for mode, replaced := range map[broker.NULMode]bool{broker.NULReplace: true, broker.NULPass: false} {
		srv := brokertest.Start(t, broker.Options{Limits: broker.Limits{NUL: mode}, Compression: true})
		type receiver struct {
			name, want string
			p          *peer
		}
		var receivers []receiver
		for _, version := range []frames.Version{frames.V10, frames.V11, frames.V12} {
			for _, transport := range []string{"WebSocket", "compressed", "TCP"} {
				for _, ack := range []string{"auto", "client"} {
					r := receiver{name: fmt.Sprintf("mode %d, %v, %s, %s", mode, version, transport, ack), want: body}
					if replaced && version < frames.V12 && transport != "TCP" {
						r.want = cleaned
					}
					switch transport {
					case "WebSocket":
						r.p = rawWebSocket(t, srv)
					case "compressed":
						r.p = rawWebSocket(t, srv, "Sec-WebSocket-Extensions", "permessage-deflate")
					default:
						r.p = rawTCP(t, srv)
					}
					r.p.connectAs(t, version).subscribe(t, "s", "/topic/a", "ack", ack)
					receivers = append(receivers, r)
				}
			}
		}
		publish(t, srv.Broker, "/topic/a", body)
		for _, r := range receivers {
			e := r.p.want(t, "MESSAGE")
			if string(e.f.Body) != r.want || e.f.Get("content-length") != strconv.Itoa(len(r.want)) {
				t.Errorf("%s: got %v, want %q", r.name, e, r.want)
			}
		}
	}
}

// NULRefuse accepts such a body from nobody.
func TestNULIsRefused(t *testing.T) {
	t.Parallel()
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{NUL: broker.NULRefuse}})
	var replies []error
	err := b.Handle("/reply", broker.HandlerFunc(func(ctx context.Context, r *broker.Request) error {
		_, err := r.Reply(ctx, &broker.Message{Body: []byte("\x00")})
		replies = append(replies, err)
		_, err = r.Reply(ctx, &broker.Message{Body: []byte("text")})
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	const refusal = "a body with a NUL byte is refused (limits.nul: refuse)"
	for name, send := range map[string]func(*brokertest.Client){
		"SEND":              func(c *brokertest.Client) { c.Send("SEND", "a\x00", "destination", "/topic/a", "receipt", "7") },
		"to an application": func(c *brokertest.Client) { c.Send("SEND", "a\x00", "destination", "/app/reply", "receipt", "7") },
		"within a transaction": func(c *brokertest.Client) {
			c.Send("BEGIN", "", "transaction", "1")
			c.Send("SEND", "a\x00", "destination", "/topic/a", "transaction", "1", "receipt", "7")
		},
	} {
		c := brokertest.Connect(t, b)
		send(c)
		if f := c.Expect(t, "ERROR"); f.Get("message") != refusal || f.Get("receipt-id") != "7" {
			t.Errorf("%s: got %v", name, f.Headers)
		}
	}
	c := brokertest.Connect(t, b)
	m := &broker.Message{Destination: "/topic/a", Body: []byte("a\x00b")}
	published := b.Publish(t.Context(), m)
	_, toUser := b.PublishToUser(t.Context(), "ann", m)
	_, toSession := b.PublishToSession(t.Context(), c.Session, m)
	for name, err := range map[string]error{"Publish": published, "PublishToUser": toUser, "PublishToSession": toSession} {
		if !errors.Is(err, broker.ErrNUL) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	c.Send("SUBSCRIBE", "", "id", "1", "destination", "/app/reply")
	if f := c.Expect(t, "MESSAGE"); string(f.Body) != "text" {
		t.Errorf("the answer is %q", f.Body)
	}
	if len(replies) != 1 || !errors.Is(replies[0], broker.ErrNUL) {
		t.Errorf("replies with NUL returned %v", replies)
	}
}

// textTransport can carry nothing but UTF-8.
type textTransport struct {
	in  chan []byte
	out chan []byte
}

func (c *textTransport) TextOnly() bool { return true }
func (c *textTransport) Receive() ([]byte, error) {
	p, ok := <-c.in
	if !ok {
		return nil, errors.New("closed")
	}
	return p, nil
}
func (c *textTransport) Send(list [][]byte) error {
	for _, p := range list {
		c.out <- append([]byte(nil), p...)
	}
	return nil
}
func (c *textTransport) Close(int, string) error { return nil }

// Whatever others send, a transport that carries only UTF-8 gets nothing else,
// with a content-length that is right: one that is not would turn the end of the
// body into frames.
func TestTextOnlyTransports(t *testing.T) {
	t.Parallel()
	for _, version := range []frames.Version{frames.V10, frames.V11, frames.V12} {
		b := brokertest.New(t, broker.Options{})
		if err := b.Handle("/fails", broker.HandlerFunc(func(context.Context, *broker.Request) error {
			return &broker.Error{Reason: broker.ReasonDenied, Message: "no\xff\x00\nnever"}
		})); err != nil {
			t.Fatal(err)
		}
		c := &textTransport{make(chan []byte, 8), make(chan []byte, 64)}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = b.Serve(context.Background(), c, broker.Admission{}) }()
		next := func() *frames.Frame {
			t.Helper()
			var p []byte
			select {
			case p = <-c.out:
			case <-time.After(patience):
				t.Fatal("nothing came")
			}
			if !utf8.Valid(p) {
				t.Errorf("version %v: %q is not UTF-8", version, p)
			}
			var dec frames.Decoder
			dec.SetVersion(version)
			dec.Feed(p)
			f, ok, err := dec.Next()
			if err != nil || !ok {
				t.Fatalf("version %v: %q is no frame: %v", version, p, err)
			}
			return f.Clone()
		}
		c.in <- []byte("CONNECT\naccept-version:" + version.String() + "\n\n\x00")
		next()
		c.in <- []byte("SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:r\n\n\x00")
		next()
		c.in <- []byte("SUBSCRIBE\nid:2\ndestination:/queue/a\nack:client\nreceipt:r\n\n\x00")
		next()
		for _, destination := range []string{"/topic/a", "/queue/a"} {
			m := &broker.Message{Destination: destination, Body: []byte("\xff\xfeé\xe2\x82"), Headers: []broker.Header{{Name: "x\xc0", Value: "y\xf0\x9f"}}}
			if err := b.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			f := next()
			if f.Command != "MESSAGE" || string(f.Body) != "\ufffdé\ufffd" || f.Get("x\ufffd") != "y\ufffd" || f.Get("content-length") != "8" {
				t.Errorf("version %v: got %s %v %q", version, f.Command, f.Headers, f.Body)
			}
		}
		c.in <- []byte("SEND\ndestination:/app/fails\n\n\x00")
		if f := next(); f.Command != "ERROR" || f.Get("message") != "no\ufffd  never" || string(f.Body) != "no\ufffd  never" {
			t.Errorf("version %v: got %s %v %q", version, f.Command, f.Headers, f.Body)
		}
		close(c.in)
		testkit.Receive(t, ended)
	}
}

// White space around its name does not make a header of the protocol another.
func TestReservedNamesWithWhiteSpace(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"subscription", "content-length", "ack", "message-id", "authorization", "simpUser"} {
		for _, space := range []string{" ", "\t", "\u00a0", "\ufeff", "\u2028", "\r"} {
			for _, n := range []string{space + name, name + space, space + name + space} {
				if !broker.Reserved(n) {
					t.Errorf("%q is not reserved", n)
				}
			}
		}
	}
	for _, name := range []string{"x y", "é", " mine ", "", " ", "subscription-of"} {
		if broker.Reserved(name) {
			t.Errorf("%q is reserved", name)
		}
	}
}

// What a cleaned copy costs is paid once, and a body grows to twice its size.
func TestCleanedBodiesAreBounded(t *testing.T) {
	t.Parallel()
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b, "accept-version", "1.1")
	c.Subscribe(t, "s", "/topic/a")
	publish(t, b, "/topic/a", strings.Repeat("a\x00", 1000)+strings.Repeat("\x00", 1000))
	if f := c.Expect(t, "MESSAGE"); len(f.Body) != 4000 {
		t.Errorf("%d bytes", len(f.Body))
	}
}
