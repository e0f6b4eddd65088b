package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"

	"github.com/hoofbeat/hoofbeat/broker/client/internal/stomptest"
)

// waits waits for a receipt, within a minute.
func waits(t *testing.T, r *Receipt) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return r.Wait(ctx)
}

// mute starts a server that answers no SUBSCRIBE and passes on who sent one.
func mute(t *testing.T) (*stomptest.Server, <-chan *stomptest.Conn) {
	t.Helper()
	conns := make(chan *stomptest.Conn, 1)
	return stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		if f.Command != "SUBSCRIBE" {
			return false
		}
		conns <- c
		return true
	}), conns
}

func serverOf(t *testing.T, conns <-chan *stomptest.Conn) *stomptest.Conn {
	t.Helper()
	select {
	case c := <-conns:
		return c
	case <-time.After(time.Minute):
		t.Fatal("the frame did not arrive within a minute")
		return nil
	}
}

// The subscription lives after its RECEIPT, and SUBSCRIBE has only the headers
// of STOMP.
func TestSubscribeWithReceipt(t *testing.T) {
	s := stomptest.New(t, nil)
	for name, url := range map[string]string{"WebSocket": s.URL, "TCP": s.TCP} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, url, Options{})
			destination := "/topic/" + name
			sub, r, err := c.SubscribeWithReceipt(destination, stomp.AckClient, stomp.SubscribeOpt.Header("x", "1"))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := waits(t, r); err != nil {
					t.Fatal(err)
				}
			}
			if n := s.Publish(destination, "hello"); n != 1 {
				t.Fatalf("%d subscriptions", n)
			}
			if m := receive(t, sub); m.Err != nil || string(m.Body) != "hello" {
				t.Errorf("received %q, %v", m.Body, m.Err)
			}
			frames := s.Frames("SUBSCRIBE")
			got := slices.Clone(frames[len(frames)-1].Headers)
			want := []string{"destination:" + destination, "ack:client", "x:1", "receipt:" + r.id, "id:" + sub.Id()}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("SUBSCRIBE has %q, want %q", got, want)
			}
		})
	}
}

// A refused SUBSCRIBE ends the wait with the ERROR.
func TestReceiptOfRefusedSubscribe(t *testing.T) {
	s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		if f.Command != "SUBSCRIBE" {
			return false
		}
		c.Send("ERROR", "", "message:not for you", "receipt-id:"+f.Header("receipt"))
		c.Close(4403, "denied")
		return true
	})
	c := dial(t, s.URL, Options{})
	_, r, err := c.SubscribeWithReceipt("/topic/a", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	var refused *ErrorFrame
	if err := waits(t, r); !errors.As(err, &refused) || refused.Message != "not for you" || refused.Close == nil || refused.Close.Code != 4403 {
		t.Errorf("Wait returns %v", err)
	}
}

// A server that confirms nothing does not hold Wait longer than its context,
// and a RECEIPT that comes late still counts, also after many messages.
func TestReceiptComesLate(t *testing.T) {
	const messages = 200
	s, conns := mute(t)
	c := dial(t, s.URL, Options{})
	sub, r, err := c.SubscribeWithReceipt("/topic/a", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Wait(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait returns %v, want the end of its context", err)
	}
	server := serverOf(t, conns)
	for i := range messages {
		server.Send("MESSAGE", fmt.Sprint(i), "subscription:"+sub.Id(), fmt.Sprint("message-id:", i), "destination:/topic/a")
	}
	server.Send("RECEIPT", "", "receipt-id:"+r.id)
	for i := range messages {
		if m := receive(t, sub); string(m.Body) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m.Body)
		}
	}
	if err := waits(t, r); err != nil {
		t.Error(err)
	}
	for range 100 {
		if err := r.Wait(canceled); err != nil {
			t.Fatalf("the RECEIPT is here, and Wait returns %v", err)
		}
	}
}

// Wait does not outlive the connection.
func TestReceiptOfLostConnection(t *testing.T) {
	s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		if f.Command == "SUBSCRIBE" {
			c.Abort()
			return true
		}
		return false
	})
	c := dial(t, s.TCP, Options{})
	_, r, err := c.SubscribeWithReceipt("/topic/a", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	if err := waits(t, r); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait returns %v, want the end of the connection", err)
	}
	// Also if this side ends it.
	s, conns := mute(t)
	c = dial(t, s.TCP, Options{})
	if _, r, err = c.SubscribeWithReceipt("/topic/a", stomp.AckAuto); err != nil {
		t.Fatal(err)
	}
	serverOf(t, conns) // go-stomp forgets a SUBSCRIBE that is not written at the end
	c.Abort()
	if err := waits(t, r); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after Abort Wait returns %v", err)
	}
}

func TestSubscribeWithReceiptOptions(t *testing.T) {
	s := stomptest.New(t, nil)
	c := dial(t, s.URL, Options{})
	for _, name := range []string{frame.Receipt, stomp.ReplyToHeader} {
		if _, _, err := c.SubscribeWithReceipt("/topic/a", stomp.AckAuto, stomp.SubscribeOpt.Header(name, "1")); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(c.session.receipts) != 0 {
		t.Errorf("%d receipts are still expected", len(c.session.receipts))
	}
}

// A RECEIPT is found wherever the stream is cut, and not in a body.
func TestInboundReceipts(t *testing.T) {
	stream := "RECEIPT\nreceipt-id:a\n\n\x00\nMESSAGE\n\nRECEIPT\nreceipt-id:b\n\n\x00RECEIPT\r\nx:y\r\nreceipt-id:c\r\n\r\n\x00\r\nRECEIPT\n\n\x00"
	for cut := range len(stream) {
		var got []string
		in := &inbound{receipt: func(id string) { got = append(got, id) }}
		in.feed([]byte(stream[:cut]))
		in.feed([]byte(stream[cut:]))
		if want := []string{"a", "c", ""}; !slices.Equal(got, want) {
			t.Fatalf("cut at %d: receipts %q, want %q", cut, got, want)
		}
	}
}

// However fast the server is, the RECEIPT of an UNSUBSCRIBE is noticed, and
// everything before it is read first.
func TestUnsubscribeWithReceipt(t *testing.T) {
	s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		if f.Command == "UNSUBSCRIBE" {
			for i := range 20 { // more than go-stomp holds
				c.Send("MESSAGE", fmt.Sprint(i), "subscription:"+f.Header("id"), "message-id:m", "destination:/topic/a")
			}
		}
		return false
	})
	for name, url := range map[string]string{"WebSocket": s.URL, "TCP": s.TCP} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, url, Options{})
			for n := range 200 {
				id := fmt.Sprintf(`%s:%d\`, name, n)
				sub, err := c.Subscribe("/topic/a", stomp.AckAuto, stomp.SubscribeOpt.Id(id))
				if err != nil {
					t.Fatal(err)
				}
				r, err := c.UnsubscribeWithReceipt(sub, func(f *frame.Frame) error {
					f.Header.Add("durable", "true")
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				for i := range 20 {
					if m := receive(t, sub); m.Err != nil || string(m.Body) != fmt.Sprint(i) {
						t.Fatalf("message %d is %q, %v", i, m.Body, m.Err)
					}
				}
				if err := waits(t, r); err != nil {
					t.Fatal(err)
				}
				select {
				case m, open := <-sub.C:
					if open {
						t.Fatalf("%q, %v after the RECEIPT", m.Body, m.Err)
					}
				case <-time.After(time.Minute):
					t.Fatal("the channel is open a minute after the RECEIPT")
				}
				if _, err := c.UnsubscribeWithReceipt(sub); !errors.Is(err, stomp.ErrCompletedSubscription) {
					t.Fatalf("once more: %v", err)
				}
			}
			frames := s.Frames("UNSUBSCRIBE")
			last := frames[len(frames)-1].Headers
			id := fmt.Sprintf(`%s\c199\\`, name)
			if want := []string{"id:" + id, "durable:true", "receipt:" + id}; !slices.Equal(last, want) {
				t.Errorf("UNSUBSCRIBE has %q, want %q", last, want)
			}
		})
	}
}

// UNSUBSCRIBE is refused here while one is under way, and with a receipt of the
// caller's.
func TestUnsubscribeWithReceiptRefusals(t *testing.T) {
	seen := make(chan *stomptest.Conn, 1)
	s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		if f.Command != "UNSUBSCRIBE" {
			return false
		}
		seen <- c
		return true
	})
	c := dial(t, s.URL, Options{})
	sub, err := c.Subscribe("/topic/a", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	mine := func(f *frame.Frame) error {
		f.Header.Add("receipt", "mine")
		return nil
	}
	if _, err := c.UnsubscribeWithReceipt(sub, mine); !errors.Is(err, ErrOptions) {
		t.Errorf("with a receipt: %v", err)
	}
	r, err := c.UnsubscribeWithReceipt(sub)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UnsubscribeWithReceipt(sub); !errors.Is(err, stomp.ErrCompletedSubscription) {
		t.Errorf("while one is under way: %v", err)
	}
	serverOf(t, seen) // go-stomp forgets a SUBSCRIBE that is not written at the end
	c.Abort()
	if err := waits(t, r); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the connection is lost, and Wait returns %v", err)
	}
}
