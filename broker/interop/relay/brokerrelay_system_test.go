package relay_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// systemConnect is what StompBrokerRelayMessageHandler.startInternal prepares
// for the shared "system" session and RelayConnectionHandler.afterConnected
// sends: the setters put the headers in this order, setVirtualHost comes last.
const systemConnect = "CONNECT\naccept-version:1.1,1.2\nlogin:system\npasscode:system-pass\nheart-beat:10000,10000\nhost:/\n\n\x00"

// systemSubscriptions are those of
// SystemSessionConnectionHandler.sendSystemSubscriptions, with the destinations
// that the documentation of StompBrokerRelayRegistration gives as examples for
// setUserDestinationBroadcast and setUserRegistryBroadcast. They are numbered,
// and there is no receipt.
const systemSubscriptions = "SUBSCRIBE\nid:0\ndestination:/topic/unresolved-user-destination\n\n\x00" +
	"SUBSCRIBE\nid:1\ndestination:/topic/simp-user-registry\n\n\x00"

// system starts a system session, as each node of an application has one.
func system(t *testing.T, addr string) *peer {
	t.Helper()
	p := dial(t, addr)
	p.say(t, systemConnect)
	p.want(t, "CONNECTED", "version", "1.2", "heart-beat", "10000,10000", "user-name", "system")
	p.say(t, systemSubscriptions)
	return p
}

// subscribed waits until all the broker's sessions have n subscriptions.
func subscribed(t *testing.T, b *broker.Broker, n int) {
	t.Helper()
	brokertest.Eventually(t, "the subscriptions", func() bool { return b.Stats().Subscriptions == n })
}

// TestStompBrokerRelayMessageHandlerSystemSession: everything that an
// application sends goes through the one session, and arrives at the sessions of
// its clients as it was sent.
func TestStompBrokerRelayMessageHandlerSystemSession(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	app, c := system(t, srv.TCP), client(t, srv.TCP)
	c.say(t, "SUBSCRIBE\nid:sub-0\ndestination:/topic/prices\nreceipt:r\n\n\x00")
	c.want(t, "RECEIPT", "receipt-id", "r")

	// SimpMessagingTemplate.convertAndSend(destination, payload): the message has
	// only a content type, and StompHeaderAccessor.wrap makes STOMP headers of it
	// and of the destination. StompEncoder always adds the content-length, last.
	app.say(t, "SEND\ndestination:/topic/prices\ncontent-type:application/json\ncontent-length:13\n\n{\"price\":1.5}\x00")
	m := c.wantMessage(t, `{"price":1.5}`, "subscription", "sub-0", "destination", "/topic/prices",
		"content-type", "application/json", "content-length", "13")
	wantNames(t, m, "subscription", "destination", "content-type", "content-length", "message-id")

	// convertAndSend(destination, payload, headers): the headers of the map become
	// native ones, before the destination. Names and values are escaped.
	app.say(t, "SEND\nx-trace:4bf9\\c01\npriority:high\ndestination:/topic/prices\ncontent-type:text/plain;charset=UTF-8\ncontent-length:7\n\nžluť\x00\x00")
	c.wantMessage(t, "žluť\x00", "x-trace", "4bf9:01", "priority", "high", "content-type", "text/plain;charset=UTF-8", "content-length", "7")

	// An empty payload has a content-length too.
	app.say(t, "SEND\ndestination:/topic/prices\ncontent-length:0\n\n\x00")
	c.wantMessage(t, "", "destination", "/topic/prices")

	// Nothing comes back on the system session but what it subscribed to.
	app.say(t, "SEND\ndestination:/topic/simp-user-registry\ncontent-type:application/json\ncontent-length:2\n\n{}\x00")
	app.wantMessage(t, "{}", "subscription", "1")
}

// TestStompBrokerRelayMessageHandlerOrder: one session, one order, however the
// bytes are cut.
func TestStompBrokerRelayMessageHandlerOrder(t *testing.T) {
	t.Parallel()
	srv := start(t, broker.Options{})
	app, c := system(t, srv.TCP), client(t, srv.TCP)
	c.say(t, "SUBSCRIBE\nid:sub-0\ndestination:/topic/order\nreceipt:r\n\n\x00")
	c.want(t, "RECEIPT", "receipt-id", "r")
	var all bytes.Buffer
	const messages = 500
	for i := range messages {
		all.WriteString(fill("SEND\ndestination:/topic/order\ncontent-type:text/plain;charset=UTF-8\ncontent-length:1\n\n{c}\x00", "c", string(rune('a'+i%26))))
	}
	for p := all.Bytes(); len(p) > 0; {
		n := min(97, len(p)) // a frame has 84 bytes
		app.say(t, string(p[:n]))
		p = p[n:]
	}
	for i := range messages {
		c.wantMessage(t, string(rune('a'+i%26)))
	}
}

// TestStompBrokerRelayMessageHandlerHeartBeats: with the intervals of Spring's
// defaults, which announce 10 s both ways. The relay gives the broker up when it
// has heard nothing for three times that, and itself writes when it has written
// nothing for 10 s.
func TestStompBrokerRelayMessageHandlerHeartBeats(t *testing.T) {
	t.Run("ten idle minutes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := serve(t, options(t, broker.Options{}))
			l.in <- systemConnect + systemSubscriptions
			for range 60 {
				time.Sleep(10 * time.Second) // the bubble's clock
				l.in <- "\n"
			}
			l.wantBeats(t, 60, 10*time.Second)
			l.leave()
		})
	})
	t.Run("when the application has died", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			l := serve(t, options(t, broker.Options{}))
			l.in <- systemConnect
			<-l.closed
			if d := time.Since(began); d < 30*time.Second || d > 32*time.Second {
				t.Errorf("a silent application was given up after %v, want 30 s", d)
			}
			l.leave()
		})
	})
	t.Run("over TCP", func(t *testing.T) {
		t.Parallel()
		const quick = 500 * time.Millisecond
		srv := start(t, broker.Options{HeartBeat: frames.HeartBeat{Send: quick, Receive: quick}})
		p := dial(t, srv.TCP)
		// setSystemHeartbeatSendInterval and setSystemHeartbeatReceiveInterval
		p.say(t, "CONNECT\naccept-version:1.1,1.2\nlogin:system\npasscode:system-pass\nheart-beat:500,500\n\n\x00")
		p.want(t, "CONNECTED", "heart-beat", "500,500")
		for range 5 { // more than three intervals, beat for beat
			octets, err := p.read()
			if err != nil || !bytes.Equal(octets, bytes.Repeat([]byte("\n"), len(octets))) {
				t.Fatalf("instead of a heart-beat came %q, %v", octets, err)
			}
			p.say(t, "\n")
		}
		p.say(t, "SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:alive\n\n\x00")
		p.want(t, "RECEIPT", "receipt-id", "alive")
	})
}

// line is a connection inside a bubble of virtual time.
type line struct {
	in     chan string
	closed chan struct{}
	served chan error

	mu   sync.Mutex
	last time.Time
	beat int
	gap  time.Duration // the longest silence of the broker
}

// serve starts a broker with one connection, which the test has to leave.
func serve(t *testing.T, o broker.Options) *line {
	t.Helper()
	b := brokertest.New(t, o)
	l := &line{in: make(chan string, 16), closed: make(chan struct{}), served: make(chan error, 1), last: time.Now()}
	go func() { l.served <- b.Serve(context.Background(), l, broker.Admission{}) }()
	return l
}

func (l *line) Receive() ([]byte, error) {
	select {
	case octets := <-l.in:
		return []byte(octets), nil
	case <-l.closed:
		return nil, io.EOF
	}
}

func (l *line) Send(list [][]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.gap, l.last = max(l.gap, now.Sub(l.last)), now
	for _, octets := range list {
		if string(octets) == "\n" {
			l.beat++
		}
	}
	return nil
}

func (l *line) Close(int, string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

// wantBeats fails unless the session lives and something came at least every
// interval, most of it heart-beats.
func (l *line) wantBeats(t *testing.T, beats int, interval time.Duration) {
	t.Helper()
	synctest.Wait()
	select {
	case <-l.closed:
		t.Error("the broker ended the session")
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if gap := max(l.gap, time.Since(l.last)); l.beat < beats || gap > interval {
		t.Errorf("%d heart-beats and a silence of %v, want %d and %v at most", l.beat, gap, beats, interval)
	}
}

// leave ends the connection from Spring's side and waits for the broker's.
func (l *line) leave() {
	_ = l.Close(0, "") // never fails
	<-l.served
}

// TestStompBrokerRelayMessageHandlerReconnects: when the broker restarts, the
// relay's FixedIntervalReconnectStrategy connects again every 5 s and says the
// same once more. Its clients were closed by Spring; they come back too.
func TestStompBrokerRelayMessageHandlerReconnects(t *testing.T) {
	t.Parallel()
	first, addr := listen(t, net.JoinHostPort(testkit.Loopback(), "0"))
	app, c := system(t, addr), client(t, addr)
	subscribed(t, first.b, 2)
	first.stop(t)
	// An orderly end: no ERROR, which would reach the browsers, only the end of the
	// connection, which SystemSessionConnectionHandler.afterConnectionClosed tells
	// the application as BrokerAvailabilityEvent.
	app.wantEnd(t, 0)
	c.wantEnd(t, 0)

	second, _ := listen(t, addr)
	app, c = system(t, addr), client(t, addr)
	subscribed(t, second.b, 2)
	c.say(t, "SUBSCRIBE\nid:sub-0\ndestination:/topic/prices\nreceipt:r\n\n\x00")
	c.want(t, "RECEIPT", "receipt-id", "r")
	app.say(t, "SEND\ndestination:/topic/prices\ncontent-length:5\n\nagain\x00")
	c.wantMessage(t, "again")
}

// restartable is a broker whose address outlives it.
type restartable struct {
	b      *broker.Broker
	served chan error
}

func listen(t *testing.T, addr string) (*restartable, string) {
	t.Helper()
	var l net.Listener
	brokertest.Eventually(t, "the address is free", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", addr)
		return err == nil
	})
	r := &restartable{b: brokertest.New(t, options(t, broker.Options{})), served: make(chan error, 1)}
	go func() { r.served <- r.b.ServeTCP(l) }()
	t.Cleanup(func() { _ = l.Close() }) // the broker's Close has done it, or does not care
	return r, l.Addr().String()
}

// stop ends the broker as an operator would.
func (r *restartable) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // they are told one after the other meanwhile
	defer cancel()
	if err := r.b.Drain(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := r.b.Close(); err != nil {
		t.Error(err)
	}
	if err := testkit.Receive(t, r.served); err != nil {
		t.Error(err)
	}
}
