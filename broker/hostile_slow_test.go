package broker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

const outbox = 64 << 10 // small, so that little is waited for

func slowBroker(t *testing.T) *broker.Broker {
	t.Helper()
	return brokertest.New(t, broker.Options{Limits: broker.Limits{Outbox: outbox, Frame: outbox / 2}, HeartBeat: heartBeat(-1, -1), PingInterval: -1})
}

// A client that does not read is cut off when its outbox is full: it never
// holds more than that, the publisher never waits, the others get everything in
// order, and what it reads afterwards is an unbroken beginning and the reason.
func TestSlowConsumerIsCutOffByOctets(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := slowBroker(t)
		slow, other := pipe(t, b, ws).connect(t), brokertest.Connect(t, b)
		slow.subscribe(t, "1", "/topic/a")
		other.Subscribe(t, "1", "/topic/a")
		since, n := time.Now(), 0
		for ; b.Stats().Ended["slow-consumer"] == 0; n++ {
			if n > 2*outbox/1000 {
				t.Fatalf("%d messages are waiting", n)
			}
			publish(t, b, "/topic/a", fmt.Sprintf("%d %s", n, strings.Repeat("x", 1000)))
			synctest.Wait()
			for s := range b.Sessions() {
				if s.Pending > outbox {
					t.Fatalf("%d bytes are pending", s.Pending)
				}
			}
			expectMessage(t, other, fmt.Sprintf("%d %s", n, strings.Repeat("x", 1000)))
		}
		if d := time.Since(since); d > 0 || n < outbox/1100-1 {
			t.Errorf("cut off after %v and %d messages of 1 kB", d, n)
		}
		if held := b.Held(); held == 0 || held > 2000 {
			t.Errorf("%d bytes are counted while the frame that is half out waits", held)
		}
		// It wakes up: what was half out is finished, then comes the ERROR.
		if e := slow.want(t, "MESSAGE"); !strings.HasPrefix(string(e.f.Body), "0 ") {
			t.Fatalf("instead of message 0 came %v", e)
		}
		slow.wantGoodbye(t, 4500, fmt.Sprintf("more than %d bytes are waiting to be read by you (limits.outbox)", outbox))
		synctest.Wait()
		if held := b.Held(); held != 0 {
			t.Errorf("%d bytes are still counted", held)
		}
		publish(t, b, "/topic/a", "goes on")
		expectMessage(t, other, "goes on")
	})
}

// A client that takes nothing for WriteDeadline is cut off however little is
// waiting; one that gets on, however slowly, is not.
func TestSlowConsumerIsCutOffByTime(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(-1, -1), PingInterval: -1})
		dead, alive := pipe(t, b, ws).connect(t), pipe(t, b, ws).connect(t)
		dead.subscribe(t, "1", "/topic/dead")
		alive.subscribe(t, "1", "/topic/alive")
		since := time.Now()
		publish(t, b, "/topic/dead", "x")
		body := strings.Repeat("x", 40_000) // each is a step of its own
		for i := range 7 {
			publish(t, b, "/topic/alive", fmt.Sprint(i)+body)
		}
		for i := range 7 {
			<-time.After(8 * time.Second)
			if e := alive.want(t, "MESSAGE"); string(e.f.Body) != fmt.Sprint(i)+body {
				t.Fatalf("instead of message %d came %v", i, e)
			}
			publish(t, b, "/topic/alive", fmt.Sprint(i+7)+body)
			if n := b.Stats().Ended["slow-consumer"]; time.Since(since) > 11*time.Second && n != 1 {
				t.Fatalf("after %v %d are cut off", time.Since(since), n)
			}
		}
		for i := range 7 {
			if e := alive.want(t, "MESSAGE"); string(e.f.Body) != fmt.Sprint(i+7)+body {
				t.Fatalf("instead of message %d came %v", i+7, e)
			}
		}
		for e := dead.next(t); e.what != "end"; e = dead.next(t) {
			if e.what == "ERROR" {
				t.Errorf("in the middle of a write came %v", e)
			}
		}
	})
}

// A client that asks for receipts and does not read them is as slow as any.
func TestUnreadReceipts(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := slowBroker(t)
		p := pipe(t, b, ws).connect(t)
		for n := 0; b.Stats().Ended["slow-consumer"] == 0; n++ {
			if n > 5000 {
				t.Fatalf("%d receipts are waiting", n)
			}
			f := frame("SEND", "", "destination", "/topic/a", "receipt", fmt.Sprint("a long receipt number ", n))
			octets := frames.Append(nil, frames.V12, &f)
			if ws {
				octets = webSocketFrame(opText, octets)
			}
			if _, err := p.Write(octets); err != nil {
				break // it was cut off meanwhile
			}
		}
		synctest.Wait()
		if n := b.Stats().Ended["slow-consumer"]; n != 1 {
			t.Errorf("ended as %v", b.Stats().Ended)
		}
	})
}

// Receipts of one write are many more than an outbox holds, but a client that
// reads gets them all.
func TestManyReceiptsAtOnce(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Limits: broker.Limits{Outbox: outbox, Frame: outbox / 2}})
	p := rawTCP(t, srv).connect(t, "heart-beat", "0,0")
	const n = 20_000
	go func() {
		var octets []byte
		for i := range n {
			octets = fmt.Appendf(octets, "SEND\ndestination:/topic/a\nreceipt:%d\n\n\x00", i)
		}
		_, _ = p.Write(octets) // what is missing is missed below
	}()
	for i := range n {
		p.receipt(t, fmt.Sprint(i))
	}
}

// A ping while the writer is blocked: the answer to the latest one goes out as
// soon as the client reads again, ahead of all that waits, and never within a frame.
func TestPongAheadOfWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := slowBroker(t)
		p := pipe(t, b, true).connect(t)
		p.subscribe(t, "1", "/topic/a")
		body := strings.Repeat("x", 20_000)
		publish(t, b, "/topic/a", body)
		synctest.Wait() // in flight
		publish(t, b, "/topic/a", body)
		for i := range 100 {
			p.raw(t, webSocketFrame(opPing, fmt.Append(nil, i)))
		}
		synctest.Wait()
		p.want(t, "MESSAGE")
		if e := p.want(t, "pong"); e.text != "99" {
			t.Errorf("the pong answers ping %s", e.text)
		}
		p.want(t, "MESSAGE")
		if e, ok := p.within(time.Second); ok {
			t.Errorf("and then came %v", e)
		}
	})
}

// A queue waits for its consumers: one that reads slowly is given its messages
// as there is room, and not cut off for their number.
func TestSlowQueueConsumer(t *testing.T) {
	for _, ack := range []string{"auto", "client-individual"} {
		t.Run(ack, func(t *testing.T) {
			bubble(t, func(t *testing.T, ws bool) {
				b := slowBroker(t)
				p := pipe(t, b, ws).connect(t)
				p.subscribe(t, "1", "/queue/a", "ack", ack)
				body := strings.Repeat("x", 4000)
				const n = 300 // 1.2 MB
				for i := range n {
					publish(t, b, "/queue/a", fmt.Sprint(i, body))
				}
				for i := range n {
					if i%20 == 0 {
						<-time.After(9 * time.Second)
						for s := range b.Sessions() {
							if s.Pending > outbox {
								t.Fatalf("%d bytes are pending", s.Pending)
							}
						}
					}
					e := p.want(t, "MESSAGE")
					if string(e.f.Body) != fmt.Sprint(i, body) || e.f.Get("redelivered") != "" {
						t.Fatalf("instead of message %d came %.50v", i, e)
					}
					if ack != "auto" {
						p.send(t, "ACK", "", "id", e.f.Get("ack"))
					}
				}
				synctest.Wait()
				if st := b.Stats(); st.QueueMessages != 0 || st.Sessions != 1 {
					t.Errorf("stats are %+v", st)
				}
			})
		})
	}
}

// The same over real sockets, whose buffers the kernel keeps: the deaf one is
// cut off, its socket is closed, and the bystanders notice nothing.
func TestDeafSocketsAmongOthers(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Limits: broker.Limits{Outbox: 256 << 10}})
	stop := bystanders(t, srv)
	var deaf []*peer
	for _, ws := range []bool{true, false} {
		p := rawDial(t, srv, ws).connect(t, "heart-beat", "0,0")
		p.subscribe(t, "1", "/topic/flood")
		deaf = append(deaf, p)
	}
	body := strings.Repeat("x", 60_000)
	for n := 0; srv.Broker.Stats().Ended["slow-consumer"] < 2; n++ {
		if n > 2000 { // 120 MB, many times what a kernel keeps
			t.Fatal("the deaf are still there")
		}
		publish(t, srv.Broker, "/topic/flood", body)
	}
	waitEmpty(t, srv.Broker, 2)
	stop()
	for _, p := range deaf {
		messages := 0
		e := p.next(t)
		for ; e.what == "MESSAGE" && string(e.f.Body) == body; e = p.next(t) {
			messages++
		}
		// The kernel may have had room for the goodbye.
		if e.what == "ERROR" && strings.HasSuffix(e.f.Get("message"), "bytes are waiting to be read by you (limits.outbox)") {
			e = p.next(t)
		}
		if e.what == "close" && e.code == broker.ReasonSlowConsumer.CloseCode() {
			e = p.next(t)
		}
		if e.what != "end" || messages == 0 {
			t.Errorf("after %d messages came %.60v", messages, e)
		}
	}
}

// Bytes that trickle in at one a time, through every state of the protocol,
// give what the same bytes give in one piece.
func TestOctetByOctet(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	for _, ws := range []bool{true, false} {
		p := rawDial(t, srv, ws)
		stomp := []byte("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\x00\n\r\n" +
			"SUBSCRIBE\nid:1\ndestination:/topic/octets\nreceipt:1\n\n\x00" +
			"SEND\ndestination:/topic/octets\ncontent-length:5\n\na\x00\xc3\xbcb\x00\nDISCONNECT\nreceipt:2\n\n\x00")
		octets := stomp
		if ws { // each byte of STOMP a message, each byte of that a segment
			octets = nil
			for _, c := range stomp {
				octets = append(octets, webSocketFrame(opBinary, []byte{c})...)
			}
		}
		for i := range octets {
			p.raw(t, octets[i:i+1])
		}
		p.want(t, "CONNECTED")
		p.dec.SetVersion(frames.V12)
		p.receipt(t, "1")
		if e := p.want(t, "MESSAGE"); !bytes.Equal(e.f.Body, []byte("a\x00\xc3\xbcb")) {
			t.Errorf("the message is %q", e.f.Body)
		}
		p.receipt(t, "2")
		p.wantClosed(t, 1000)
	}
}

// A Transport that fails in the middle takes its session with it and no other.
func TestBrokenConnections(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	stop := bystanders(t, srv)
	for _, ws := range []bool{true, false} {
		for i := range 50 {
			p := rawDial(t, srv, ws)
			if i%5 > 0 {
				p.connect(t, "heart-beat", "0,0")
				p.subscribe(t, "1", "/topic/bystanders")
			}
			if i%5 > 1 {
				p.raw(t, []byte{0x82, 0xfe, 0xff}) // half a header, or half a frame
			}
			if l, ok := p.Conn.(interface{ SetLinger(int) error }); ok && i%2 == 0 {
				if err := l.SetLinger(0); err != nil { // a reset instead of a FIN
					t.Fatal(err)
				}
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	waitEmpty(t, srv.Broker, 2)
	stop()
}
