package relay_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// clientSession is the CONNECT of a DefaultStompSession: the program's own
// headers, heart-beat from StompClientSupport.processConnectHeaders unless it is
// among them, and the versions, the lower one first, from afterConnected. There
// is no host.
const clientSession = "CONNECT\nlogin:clients\npasscode:clients-pass\nheart-beat:10000,10000\naccept-version:1.1,1.2\n\n\x00"

// stompSession connects a WebSocketStompClient.
func stompSession(t *testing.T, url string) (*peer, *websocket.Conn) {
	t.Helper()
	p, conn := dialWebSocket(t, url)
	p.say(t, clientSession)
	p.want(t, "CONNECTED", "version", "1.2", "heart-beat", "10000,10000", "user-name", "clients")
	return p, conn
}

// TestWebSocketStompClientSession: StompSession with setAutoReceipt(true), which
// numbers subscriptions and receipts from 0, each on its own.
func TestWebSocketStompClientSession(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	p, _ := stompSession(t, srv.URL)

	// subscribe(destination, handler): the session adds id and receipt.
	p.say(t, "SUBSCRIBE\ndestination:/topic/chat\nid:0\nreceipt:0\n\n\x00")
	p.want(t, "RECEIPT", "receipt-id", "0")
	p.say(t, "SUBSCRIBE\ndestination:/topic/other\nid:1\nreceipt:1\n\n\x00")
	p.want(t, "RECEIPT", "receipt-id", "1")

	// send(destination, payload) with StringMessageConverter, whose content type
	// the session puts behind the program's headers.
	p.say(t, "SEND\ndestination:/topic/chat\nreceipt:2\ncontent-type:text/plain;charset=UTF-8\ncontent-length:28\n\nPříliš žluťoučký 🐎\x00")
	m := p.wantMessage(t, "Příliš žluťoučký 🐎", "subscription", "0", "destination", "/topic/chat",
		"content-type", "text/plain;charset=UTF-8", "content-length", "28")
	wantNames(t, m, "subscription", "destination", "content-type", "content-length", "message-id")
	p.want(t, "RECEIPT", "receipt-id", "2")

	// send(headers, payload) with a payload of bytes: no content type. Values are
	// escaped whatever the version.
	p.say(t, "SEND\ndestination:/topic/other\nurl:http\\c//host/a\\\\b\nreceipt:3\ncontent-length:2\n\n\x00\x01\x00")
	p.wantMessage(t, "\x00\x01", "subscription", "1", "url", `http://host/a\b`, "content-type", "-")
	p.want(t, "RECEIPT", "receipt-id", "3")

	// Subscription.unsubscribe(), which asks for no receipt.
	p.say(t, "UNSUBSCRIBE\nid:0\n\n\x00")
	p.say(t, "SEND\ndestination:/topic/chat\nreceipt:4\ncontent-length:4\n\nlate\x00")
	p.want(t, "RECEIPT", "receipt-id", "4")

	// disconnect(), and at once the closing of the WebSocket.
	p.say(t, "DISCONNECT\n\n\x00")
	p.wantEnd(t, websocket.StatusNormalClosure)
}

// TestWebSocketStompClientAcknowledges: acknowledge(id, consumed) puts what the
// program passes, for STOMP 1.2 the ack header of the MESSAGE, into id.
func TestWebSocketStompClientAcknowledges(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	p, _ := stompSession(t, srv.URL)
	p.say(t, "SUBSCRIBE\ndestination:/queue/jobs\nack:client-individual\nid:0\nreceipt:0\n\n\x00")
	p.want(t, "RECEIPT", "receipt-id", "0")
	p.say(t, "SEND\ndestination:/queue/jobs\ncontent-length:1\n\n1\x00")
	m := p.wantMessage(t, "1", "subscription", "0", "redelivered", "-")
	p.say(t, fill("NACK\nid:{ack}\nreceipt:1\n\n\x00", "ack", m.Get("ack")))
	var again *frames.Frame
	for range 2 { // in any order: the message is for the session that refused it
		f, err := p.receive()
		switch {
		case err != nil:
			t.Fatal(err)
		case f.Command == "MESSAGE":
			again = f.Clone()
		case f.Command != "RECEIPT" || f.Get("receipt-id") != "1":
			t.Fatalf("after NACK came %s %v", f.Command, f.Headers)
		}
	}
	if again == nil || string(again.Body) != "1" || again.Get("redelivered") != "true" {
		t.Fatalf("the refused message came again as %+v", again)
	}
	p.say(t, fill("ACK\nid:{ack}\nreceipt:2\n\n\x00", "ack", again.Get("ack")))
	p.want(t, "RECEIPT", "receipt-id", "2")
	if n := srv.Broker.Stats().QueueMessages; n != 0 {
		t.Errorf("%d messages are left after ACK", n)
	}
}

// TestWebSocketStompClientVersion11: a program that sets accept-version to 1.1
// acknowledges by message-id; acknowledge(headers, consumed) is how it adds the
// subscription that this version demands.
func TestWebSocketStompClientVersion11(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	p, _ := dialWebSocket(t, srv.URL)
	p.say(t, "CONNECT\nlogin:clients\npasscode:clients-pass\naccept-version:1.1\nheart-beat:0,0\n\n\x00")
	p.want(t, "CONNECTED", "version", "1.1")
	p.say(t, "SUBSCRIBE\ndestination:/queue/jobs\nack:client\nid:0\nreceipt:0\n\n\x00")
	p.want(t, "RECEIPT", "receipt-id", "0")
	p.say(t, "SEND\ndestination:/queue/jobs\ncontent-length:1\n\n1\x00")
	m := p.wantMessage(t, "1")
	p.say(t, fill("ACK\nmessage-id:{id}\nsubscription:0\nreceipt:1\n\n\x00", "id", m.Get("message-id")))
	p.want(t, "RECEIPT", "receipt-id", "1")
	if n := srv.Broker.Stats().QueueMessages; n != 0 {
		t.Errorf("%d messages are left after ACK", n)
	}
}

// TestWebSocketStompClientReceiptTimeLimit: a session gives a receipt 15 s. None
// is late for a client that reads, whatever the others do: of frames that were
// sent together, in one message or in many, it gets all.
func TestWebSocketStompClientReceiptTimeLimit(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	p, _ := stompSession(t, srv.URL)
	p.say(t, "SUBSCRIBE\ndestination:/topic/chat\nid:0\n\n\x00")
	const messages = 300
	began := time.Now()
	for i := range messages {
		p.say(t, fmt.Sprintf("SEND\ndestination:/topic/chat\nreceipt:%d\ncontent-length:4\n\nbody\x00", i))
	}
	next, got := 0, 0
	for next < messages || got < messages {
		f, err := p.receive()
		if err != nil {
			t.Fatalf("after %d receipts and %d messages: %v", next, got, err)
		}
		if f.Command == "MESSAGE" {
			got++
			continue
		}
		if f.Command != "RECEIPT" || f.Get("receipt-id") != strconv.Itoa(next) {
			t.Fatalf("%s %v, want receipt %d", f.Command, f.Headers, next)
		}
		next++
	}
	if d := time.Since(began); d > patience { // more than the 15 s: the machine may be busy
		t.Errorf("the last receipt came after %v", d)
	}
}

// TestWebSocketStompClientSplits: setOutboundMessageSizeLimit makes
// SplittingStompEncoder cut a frame into messages of so many bytes. (In text a
// cut inside a character is lost already in Spring, whose TextMessage decodes
// each piece by itself.)
func TestWebSocketStompClientSplits(t *testing.T) {
	t.Parallel()
	const limit = 1024
	srv := start(t, broker.Options{})
	p, conn := stompSession(t, srv.URL)
	p.say(t, "SUBSCRIBE\ndestination:/topic/large\nid:0\nreceipt:0\n\n\x00")
	p.want(t, "RECEIPT", "receipt-id", "0")
	for _, c := range []struct {
		kind              websocket.MessageType
		contentType, body string
	}{
		{websocket.MessageText, "text/plain;charset=UTF-8", strings.Repeat("0123456789", 5000)},
		{websocket.MessageBinary, "application/octet-stream", strings.Repeat("汉\x00", 10000)}, // cut inside characters
	} {
		octets := []byte(fill("SEND\ndestination:/topic/large\ncontent-type:{type}\ncontent-length:{n}\n\n", "type", c.contentType, "n", strconv.Itoa(len(c.body))) + c.body + "\x00")
		for len(octets) > 0 {
			n := min(limit, len(octets))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			err := conn.Write(ctx, c.kind, octets[:n])
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			octets = octets[n:]
		}
		p.wantMessage(t, c.body, "subscription", "0", "content-type", c.contentType)
	}
}

// TestWebSocketStompClientHeartBeats: onWriteInactivity looks every 5 s whether
// nothing was written for more than 10 s, so that up to 15 s may pass between
// two heart-beats; onReadInactivity closes after 30 s of silence.
func TestWebSocketStompClientHeartBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serve(t, options(t, broker.Options{}))
		l.in <- clientSession
		for range 40 { // ten minutes
			time.Sleep(15 * time.Second) // the bubble's clock
			l.in <- "\n"
		}
		l.wantBeats(t, 60, 10*time.Second)
		l.leave()
	})
}

// TestWebSocketStompClientRefused: handleFrame of the StompSessionHandler sees
// the ERROR, and handleTransportError the end, in this order.
func TestWebSocketStompClientRefused(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	p, _ := dialWebSocket(t, srv.URL)
	p.say(t, "CONNECT\nlogin:clients\npasscode:guest\nheart-beat:10000,10000\naccept-version:1.1,1.2\n\n\x00")
	f := p.want(t, "ERROR", "message", "the login or the passcode is wrong", "content-type", "text/plain")
	if string(f.Body) != f.Get("message") {
		t.Errorf("the body is %q, want the message", f.Body)
	}
	p.wantEnd(t, websocket.StatusPolicyViolation)

	// So it is later on, with the receipt-id that tells which frame it was.
	p, _ = stompSession(t, srv.URL)
	p.say(t, "SUBSCRIBE\ndestination:/topic/forbidden\nid:0\nreceipt:0\n\n\x00")
	p.want(t, "ERROR", "receipt-id", "0")
	p.wantEnd(t, 4403)
}

// TestWebSocketStompClientReconnects: a program connects again after
// handleTransportError, here because the broker drains; it is told 1012.
func TestWebSocketStompClientReconnects(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	p, _ := stompSession(t, srv.URL)
	p.say(t, "SUBSCRIBE\ndestination:/topic/chat\nid:0\nreceipt:0\n\n\x00")
	p.want(t, "RECEIPT", "receipt-id", "0")
	if err := srv.Broker.Publish(t.Context(), &broker.Message{Destination: "/topic/chat", Body: []byte("last")}); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error, 1)
	go func() { drained <- srv.Broker.Drain(t.Context()) }()
	p.wantMessage(t, "last")
	p.wantEnd(t, websocket.StatusServiceRestart)
	if err := testkit.Receive(t, drained); err != nil {
		t.Error(err)
	}
}
