package relay_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// clientConnect is the CONNECT of a browser with @stomp/stompjs, as
// StompBrokerRelayMessageHandler.handleMessageInternal sends it on: on a TCP
// connection of its own, with all the headers of the page, the configured
// client login and passcode instead of the page's, and then the virtual host.
// What the page said to authenticate itself to the application comes along.
const clientConnect = "CONNECT\naccept-version:1.2,1.1,1.0\nheart-beat:10000,10000\nAuthorization:Bearer of-the-application\nX-XSRF-TOKEN:2b9f\n" +
	"login:clients\npasscode:clients-pass\nhost:/\n\n\x00"

// userSubscribe is what UserDestinationMessageHandler makes of the page's
// SUBSCRIBE to /user/queue/replies and the relay sends on: the destination
// becomes one of the Spring session alone, simpOrigDestination keeps the old one.
const userSubscribe = "SUBSCRIBE\nid:sub-0\ndestination:/queue/replies-user{session}\nsimpOrigDestination:/user/queue/replies\n\n\x00"

// userSend is what SimpMessagingTemplate.convertAndSendToUser leads to, by way of
// UserDestinationMessageHandler.
const userSend = "SEND\nsimpOrigDestination:/user/queue/replies\ndestination:/queue/replies-user{session}\ncontent-type:application/json\ncontent-length:4\n\ntrue\x00"

// client connects as the relay does for one browser.
func client(t *testing.T, addr string) *peer {
	t.Helper()
	p := dial(t, addr)
	p.say(t, clientConnect)
	p.want(t, "CONNECTED", "version", "1.2", "heart-beat", "10000,10000", "user-name", "clients")
	return p
}

// TestStompBrokerRelayMessageHandlerClientSession: a page behind the relay, from
// CONNECT to DISCONNECT.
func TestStompBrokerRelayMessageHandlerClientSession(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	app, one, two := system(t, srv.TCP), client(t, srv.TCP), client(t, srv.TCP)
	one.say(t, fill(userSubscribe, "session", "s1"))
	two.say(t, fill(userSubscribe, "session", "s2"))
	two.say(t, "SUBSCRIBE\nid:sub-1\ndestination:/topic/news.*\nack:auto\n\n\x00")
	subscribed(t, srv.Broker, 5)

	// For one session. Spring shows its page simpOrigDestination as the
	// destination, so it must come back; and nothing of the SUBSCRIBE may.
	app.say(t, fill(userSend, "session", "s1"))
	m := one.wantMessage(t, "true", "destination", "/queue/replies-users1", "subscription", "sub-0",
		"simpOrigDestination", "/user/queue/replies", "content-type", "application/json")
	wantNames(t, m, "destination", "subscription", "simpOrigDestination", "content-type", "content-length", "message-id")

	// A page's own SEND to /topic keeps its headers and their order; only the
	// content-length is counted anew.
	one.say(t, "SEND\ndestination:/topic/news.local\nx-page:1\ncontent-type:text/plain\ncontent-length:5\n\nhello\x00")
	two.wantMessage(t, "hello", "destination", "/topic/news.local", "subscription", "sub-1", "x-page", "1")

	// For a session that sent something itself, the answer of a @MessageMapping
	// method goes out on that session's connection: the relay looks at the session
	// id of a message.
	one.say(t, fill(userSend, "session", "s2"))
	two.wantMessage(t, "true", "destination", "/queue/replies-users2", "subscription", "sub-0", "simpOrigDestination", "/user/queue/replies")

	one.say(t, "\n") // a page's heart-beat, sent on as it came
	one.say(t, "UNSUBSCRIBE\nid:sub-0\n\n\x00")
	subscribed(t, srv.Broker, 4)
	// RelayConnectionHandler.afterDisconnectSent: without a receipt Spring closes at
	// once, and for a page that has just gone it makes a DISCONNECT without headers.
	one.say(t, "DISCONNECT\n\n\x00")
	one.wantEnd(t, 0)
	// With one it leaves the closing to the broker, behind the RECEIPT.
	two.say(t, "DISCONNECT\nreceipt:close-7\n\n\x00")
	two.want(t, "RECEIPT", "receipt-id", "close-7")
	two.wantEnd(t, 0)
	brokertest.Eventually(t, "they have gone", func() bool { return srv.Broker.Stats().Sessions == 1 })
	if ended := srv.Broker.Stats().Ended; ended["disconnect"] != 2 || len(ended) != 1 {
		t.Errorf("sessions ended with %v, want two of disconnect", ended)
	}
}

// TestStompBrokerRelayMessageHandlerReceipts: a page may ask for a receipt of
// every frame, and they come in order.
func TestStompBrokerRelayMessageHandlerReceipts(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	c := client(t, srv.TCP)
	// In one write, as the relay's channel may pass it on.
	c.say(t, "SUBSCRIBE\nid:sub-0\ndestination:/queue/work\nack:client-individual\nreceipt:1\n\n\x00"+
		"SEND\ndestination:/queue/other\nreceipt:2\ncontent-length:1\n\nx\x00"+
		"BEGIN\ntransaction:tx-0\nreceipt:3\n\n\x00"+
		"SEND\ndestination:/queue/other\ntransaction:tx-0\nreceipt:4\ncontent-length:1\n\ny\x00"+
		"COMMIT\ntransaction:tx-0\nreceipt:5\n\n\x00"+
		"BEGIN\ntransaction:tx-1\nreceipt:6\n\n\x00"+
		"ABORT\ntransaction:tx-1\nreceipt:7\n\n\x00")
	for _, id := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		c.want(t, "RECEIPT", "receipt-id", id)
	}
	c.say(t, "SEND\ndestination:/queue/work\ncontent-length:1\n\nz\x00")
	m := c.wantMessage(t, "z")
	c.say(t, fill("ACK\nid:{ack}\nreceipt:8\n\n\x00UNSUBSCRIBE\nid:sub-0\nreceipt:9\n\n\x00DISCONNECT\nreceipt:10\n\n\x00", "ack", m.Get("ack")))
	for _, id := range []string{"8", "9", "10"} {
		c.want(t, "RECEIPT", "receipt-id", id)
	}
	c.wantEnd(t, 0)
}

// TestStompBrokerRelayMessageHandlerRefused: with a wrong client passcode in its
// configuration the relay gets an ERROR, which it sends to the page as it is, and
// the end of the connection.
func TestStompBrokerRelayMessageHandlerRefused(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	p := dial(t, srv.TCP)
	p.say(t, "CONNECT\naccept-version:1.2,1.1,1.0\nheart-beat:10000,10000\nlogin:clients\npasscode:guest\nhost:/\n\n\x00"+
		fill(userSubscribe, "session", "s1")) // never handled
	p.want(t, "ERROR", "message", "the login or the passcode is wrong")
	p.wantEnd(t, 0)
	if n := srv.Broker.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions of a client that was refused", n)
	}
	system(t, srv.TCP) // which the other login of the same address may still start
}

// TestStompBrokerRelayMessageHandlerError: an ERROR ends the connection of the
// page it is for, with nothing after it, and no other.
func TestStompBrokerRelayMessageHandlerError(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	app, good := system(t, srv.TCP), client(t, srv.TCP)
	good.say(t, fill(userSubscribe, "session", "s1"))
	for name, octets := range map[string]string{
		"a destination that the rules deny": "SUBSCRIBE\nid:sub-1\ndestination:/topic/forbidden\nreceipt:r\n\n\x00",
		"an id that is taken":               "SUBSCRIBE\nid:sub-0\ndestination:/topic/a\nreceipt:r\n\n\x00",
		"a transaction that is not open":    "COMMIT\ntransaction:none\nreceipt:r\n\n\x00",
	} {
		bad := client(t, srv.TCP)
		bad.say(t, fill(userSubscribe, "session", "s2"))
		bad.say(t, octets+"SEND\ndestination:/topic/after\ncontent-length:1\n\nx\x00")
		if f := bad.want(t, "ERROR", "receipt-id", "r"); f.Get("message") == "" {
			t.Errorf("%s: no message header, which is all that a page sees of it: %v", name, f.Headers)
		}
		bad.wantEnd(t, 0)
	}
	subscribed(t, srv.Broker, 3)
	app.say(t, fill(userSend, "session", "s1"))
	good.wantMessage(t, "true")
	if n := srv.Broker.Stats().Published; n != 1 {
		t.Errorf("%d messages were published, want none from behind an ERROR", n)
	}
}
