package broker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// bystanders are two well-behaved clients, one of each kind, who exchange
// numbered messages until stop is called. None may be lost or out of order,
// whatever others do to the broker.
func bystanders(t *testing.T, srv *brokertest.Server) (stop func()) {
	t.Helper()
	from := rawWebSocket(t, srv).connect(t, "heart-beat", "0,0")
	to := rawTCP(t, srv).connect(t, "heart-beat", "0,0")
	to.subscribe(t, "numbers", "/topic/bystanders")
	quit, done, n := make(chan struct{}), make(chan error, 1), 0
	go func() {
		for {
			select {
			case <-quit:
				done <- nil
				return
			default:
			}
			var batch []byte
			for i := range 10 {
				f := frame("SEND", fmt.Sprint(n+i), "destination", "/topic/bystanders")
				batch = append(batch, webSocketFrame(opText, frames.Append(nil, frames.V12, &f))...)
			}
			if _, err := from.Write(batch); err != nil {
				done <- err
				return
			}
			for range 10 {
				if e, ok := to.within(patience); !ok || e.what != "MESSAGE" || string(e.f.Body) != fmt.Sprint(n) {
					done <- fmt.Errorf("got %v, want message %d", e, n)
					return
				}
				n++
			}
		}
	}()
	return func() {
		t.Helper()
		close(quit)
		if err := testkit.Receive(t, done); err != nil || n == 0 {
			t.Errorf("the bystanders were disturbed after %d messages: %v", n, err)
		}
	}
}

// violation is something that a client must not do, and what it is told.
type violation struct {
	name   string
	octets []byte
	code   int
	text   string
}

func breach(name, octets string, code int, text string) violation {
	return violation{name, []byte(octets), code, text}
}

// stompViolations are the same over every transport, once connected with 1.2.
func stompViolations() []violation {
	many := func(n int, format string) (s string) {
		for i := range n {
			s += fmt.Sprintf(format, i)
		}
		return s
	}
	const tooBig, tooMany = "frame larger than 65536 bytes (limits.frame)", "more than 100 headers (limits.headers)"
	return []violation{
		breach("unknown command", "HELLO\n\n\x00", 1002, `unknown command "HELLO"`),
		breach("lower case", "send\ndestination:/topic/a\n\n\x00", 1002, `unknown command "send"`),
		breach("server command", "MESSAGE\n\n\x00", 1002, "MESSAGE is not a client command"),
		breach("second CONNECT", "CONNECT\naccept-version:1.2\n\n\x00", 1002, "already connected"),
		breach("no colon", "SEND\nnonsense\n\n\x00", 1002, "header line without a colon"),
		breach("no name", "SEND\n:x\n\n\x00", 1002, "header line without a name"),
		breach("undefined escape", "SEND\ndestination:/topic/\\ta\n\n\x00", 1002, "undefined escape sequence in a header"),
		breach("escape cut off", "SEND\ndestination:/topic/a\\\n\n\x00", 1002, "undefined escape sequence in a header"),
		breach("bare carriage return", "SEND\ndestination:/topic/a\rb\n\n\x00", 1002, "carriage return without line feed"),
		breach("NUL in a header", "SEND\ndestination:/topic/\x00a\n\n\x00", 1002, "NUL inside a header line"),
		breach("negative content-length", "SEND\ndestination:/topic/a\ncontent-length:-1\n\n\x00", 1002, "content-length is not a number"),
		breach("signed content-length", "SEND\ndestination:/topic/a\ncontent-length:+1\n\nx\x00", 1002, "content-length is not a number"),
		breach("content-length in words", "SEND\ndestination:/topic/a\ncontent-length:one\n\nx\x00", 1002, "content-length is not a number"),
		breach("too large a content-length", "SEND\ndestination:/topic/a\ncontent-length:65537\n\n", 1009, tooBig),
		breach("huge content-length", "SEND\ndestination:/topic/a\ncontent-length:9223372036854775807\n\n", 1009, tooBig),
		breach("endless content-length", "SEND\ndestination:/topic/a\ncontent-length:99999999999999999999999999\n\n", 1009, tooBig),
		breach("no NUL after the body", "SEND\ndestination:/topic/a\ncontent-length:1\n\nxy\x00", 1002, "no NUL after the body"),
		breach("body where none may be", "SUBSCRIBE\nid:1\ndestination:/topic/a\n\nbody\x00", 1002, "only SEND, MESSAGE and ERROR may have a body"),
		breach("too many headers", "SEND\n"+many(101, "h%d:x\n")+"\n\x00", 1009, tooMany),
		breach("too large a header block", "SEND\nh:"+strings.Repeat("x", 8192)+"\n\n\x00", 1009, "headers larger than 8192 bytes (limits.header_bytes)"),
		breach("endless body", "SEND\ndestination:/topic/a\n\n"+strings.Repeat("x", 65536), 1009, tooBig),
		breach("no destination", "SEND\n\n\x00", 1002, "SEND without a destination header"),
		breach("selector gymnastics", "SUBSCRIBE\nid:1\ndestination:/topic/a\nselector:T(java.lang.Runtime).exec('x')\nack:never\n\n\x00", 1002, "ack must be auto, client or client-individual"),
		breach("too many subscriptions", many(4, "SUBSCRIBE\nid:%d\ndestination:/topic/a\n\n\x00"), 4429, "more than 3 subscriptions (limits.subscriptions)"),
		breach("too many transactions", many(3, "BEGIN\ntransaction:%d\n\n\x00"), 4429, "more than 2 open transactions (limits.transactions)"),
		breach("too long a transaction", "BEGIN\ntransaction:t\n\n\x00"+many(4, "SEND\ndestination:/topic/a\ntransaction:t\n\n%d\x00"), 4429, "more than 3 frames in a transaction (limits.transaction_frames)"),
		breach("too large a transaction", "BEGIN\ntransaction:t\n\n\x00"+many(2, "SEND\ndestination:/topic/a\ntransaction:t\n\n"+strings.Repeat("x", 600)+"%d\x00"), 4429, "more than 1000 bytes in open transactions (limits.transaction_bytes)"),
		breach("foreign destination", "SUBSCRIBE\nid:1\ndestination:/user/bob/queue/a\n\n\x00", 4403, "not allowed to subscribe to the destinations of another user"),
	}
}

// unauthenticatedViolations come before CONNECTED.
func unauthenticatedViolations() []violation {
	headers := ""
	for i := range 21 {
		headers += fmt.Sprintf("h%d:x\n", i)
	}
	const badBeat = "heart-beat is not two numbers of milliseconds from 0 to 2147483647"
	return []violation{
		breach("SEND first", "SEND\ndestination:/topic/a\n\nx\x00", 1008, "authentication required"),
		breach("SUBSCRIBE first", "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\x00", 1008, "authentication required"),
		breach("HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1002, `unknown command "GET"`),
		breach("TLS", "\x16\x03\x01\x02\x00\x01\x00", 1002, "unknown command"),
		breach("no common version", "CONNECT\naccept-version:9.9\n\n\x00", 1002, "supported versions are 1.0,1.1,1.2"),
		breach("heart-beat in words", "CONNECT\naccept-version:1.2\nheart-beat:a,b\n\n\x00", 1002, badBeat),
		breach("negative heart-beat", "CONNECT\naccept-version:1.2\nheart-beat:-1,0\n\n\x00", 1002, badBeat),
		breach("too many headers", "CONNECT\n"+headers+"\n\x00", 1009, "more than 20 headers (fixed before CONNECTED)"),
		breach("too large", "CONNECT\nh:"+strings.Repeat("x", 8192)+"\n\n\x00", 1009, "frame larger than 8192 bytes (limits.unauthenticated_frame)"),
		breach("too large a body", "SEND\ncontent-length:9000\n\n", 1009, "frame larger than 8192 bytes (limits.unauthenticated_frame)"),
	}
}

func hostileServer(t *testing.T) *brokertest.Server {
	t.Helper()
	return brokertest.Start(t, broker.Options{Limits: broker.Limits{
		Subscriptions: 3, Transactions: 2, TransactionFrames: 3, TransactionBytes: 1000,
	}})
}

// Whoever breaks the rules is told which one, over WebSocket and TCP, and can
// read it although it goes on sending; and nobody else notices.
func TestViolationsAreAnswered(t *testing.T) {
	srv := hostileServer(t)
	stop := bystanders(t, srv)
	for _, ws := range []bool{true, false} {
		for _, early := range []bool{true, false} {
			list := stompViolations()
			if early {
				list = unauthenticatedViolations()
			}
			for _, v := range list {
				t.Run(fmt.Sprintf("ws=%v/before CONNECT=%v/%s", ws, early, v.name), func(t *testing.T) {
					p := rawDial(t, srv, ws)
					if !early {
						p.connect(t, "login", "mallory", "heart-beat", "0,0")
					}
					octets := append(v.octets, bytes.Repeat([]byte("SEND\ndestination:/topic/bystanders\n\nintruder\x00"), 2000)...)
					if ws { // binary, since not all of this is text
						octets = webSocketFrame(opBinary, octets)
					}
					p.raw(t, octets)
					p.wantGoodbye(t, v.code, v.text)
				})
			}
		}
	}
	stop()
	waitEmpty(t, srv.Broker, 2)
}

// waitEmpty waits until no session but so many is left, with its places given
// back.
func waitEmpty(t *testing.T, b *broker.Broker, left int) {
	t.Helper()
	brokertest.Eventually(t, "all other sessions have gone", func() bool { return b.Sockets() == left && b.Checked() <= left })
	if all, addresses := b.Places(); all != 0 || addresses != 0 {
		t.Errorf("%d unauthenticated places of %d addresses are left", all, addresses)
	}
	if st := b.Stats(); st.Sessions != left || st.Sockets != left {
		t.Errorf("%d sessions on %d sockets, want %d", st.Sessions, st.Sockets, left)
	}
}

func TestWebSocketViolationsAreAnswered(t *testing.T) {
	srv := hostileServer(t)
	stop := bystanders(t, srv)
	masking := func(first byte, payload ...byte) []byte {
		return append(webSocketHeader(first, len(payload)), masked(payload)...)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	body := []byte("SEND\ndestination:/topic/a\n\n")
	for _, v := range []violation{
		{"unmasked", []byte{0x80 | opText, 1, '\n'}, 1002, "frames from client to server must be masked"},
		{"reserved bit", masking(0xc0|opText, '\n'), 1002, "non-zero rsv bits with no extension negotiated"},
		{"reserved opcode", masking(0x83, '\n'), 1002, "use of reserved op code"},
		{"reserved control opcode", masking(0x8b), 1002, "use of reserved op code"},
		{"fragmented ping", masking(opPing), 1002, "control frame is not final"},
		{"oversized ping", webSocketFrame(opPing, make([]byte, 126)), 1002, "control frame payload limit exceeded"},
		{"continuation of nothing", masking(0x80|opContinuation, '\n'), 1002, "unexpected continuation data frame"},
		{"message within a message", join(masking(opText, '\n'), masking(0x80|opText, '\n')), 1002, "unexpected non-continuation data frame"},
		{"negative length", append([]byte{0x80 | opText, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 1}, maskingKey[:]...), 1002, "malformed frame header"},
		{"invalid UTF-8", masking(0x80|opText, '\n', 0xff), 1007, "invalid UTF-8 in text"},
		{"UTF-8 cut off", masking(0x80|opText, append(body, 0xc3)...), 1007, "invalid UTF-8 in text"},
		{"UTF-8 broken by a fragment", join(masking(opText, append(body, 0xc3)...), masking(0x80|opContinuation, '(')), 1007, "invalid UTF-8 in text"},
		{"close of one octet", masking(0x80|opClose, 3), 1002, "close frame with a payload of one byte"},
		{"close code that never travels", masking(0x80|opClose, 0x03, 0xed), 1002, "status code is only application level"},
		{"close code out of range", masking(0x80|opClose, 0x13, 0x88), 1002, "close code is out of range"},
		{"close reason not UTF-8", masking(0x80|opClose, 0x03, 0xe8, 0xff), 1007, "invalid UTF-8 in text"},
		{"a message of a terabyte", append(join([]byte{0x80 | opBinary, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0}, maskingKey[:]),
			masked([]byte("SEND\ndestination:/topic/a\n\n"+strings.Repeat("x", 70_000)))...), 1009, "frame larger than 65536 bytes (limits.frame)"},
	} {
		t.Run(v.name, func(t *testing.T) {
			p := rawWebSocket(t, srv).connect(t, "heart-beat", "0,0")
			p.raw(t, append(v.octets, make([]byte, 100_000)...))
			p.wantGoodbye(t, v.code, v.text)
		})
	}
	stop()
	waitEmpty(t, srv.Broker, 2)
}

// A goodbye comes behind everything that was sent before, all of it readable,
// also for a client that reads late and whose last bytes nobody wanted.
func TestGoodbyeComesBehindPendingMessages(t *testing.T) {
	more := make([]byte, 200_000)
	for name, octets := range map[string][]byte{
		"STOMP violation":     append(webSocketFrame(opText, []byte("HELLO\n\n\x00")), webSocketFrame(opBinary, more)...),
		"WebSocket violation": append([]byte{0x80 | opText, 1, 'x'}, more...),
		"DISCONNECT":          append(webSocketFrame(opText, []byte("DISCONNECT\n\n\x00")), webSocketFrame(opBinary, more)...),
		"close frame":         webSocketFrame(opClose, []byte{0x03, 0xe8}),
	} {
		t.Run(name, func(t *testing.T) {
			srv := brokertest.Start(t, broker.Options{LingerTimeout: time.Minute, Limits: broker.Limits{Outbox: 16 << 20}})
			p := rawWebSocket(t, srv).connect(t, "heart-beat", "0,0")
			p.subscribe(t, "1", "/topic/a")
			body := strings.Repeat("x", 50_000)
			const n = 200 // 10 MB, more than the sockets hold
			for range n {
				publish(t, srv.Broker, "/topic/a", body)
			}
			p.raw(t, octets)
			brokertest.Eventually(t, "the violation was seen", func() bool { return len(srv.Broker.Stats().Ended) == 1 })
			for i := range n {
				if e := p.next(t); e.what != "MESSAGE" || len(e.f.Body) != len(body) {
					t.Fatalf("instead of message %d came %v", i, e)
				}
			}
			if strings.HasSuffix(name, "violation") {
				p.want(t, "ERROR")
				p.wantClosed(t, 1002)
			} else {
				p.wantClosed(t, 1000)
			}
		})
	}
}

// RFC 6455 section 5.5.1: a close frame is answered with a close frame, whatever
// its code says, or a browser calls the close unclean.
func TestCloseIsAnswered(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	for code, reason := range map[int]string{
		1000: "disconnect", 1001: "disconnect", 1005: "disconnect", 1011: "disconnect", 1012: "disconnect", 3001: "disconnect", 4999: "disconnect",
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			before := srv.Broker.Stats().Ended[reason]
			p := rawWebSocket(t, srv).connect(t, "heart-beat", "0,0")
			payload := []byte{byte(code >> 8), byte(code)}
			if code == 1005 {
				payload = nil
			}
			p.raw(t, webSocketFrame(opClose, append(payload, "ignored"[:len(payload)]...)))
			p.want(t, "close")
			if e := p.want(t, "end"); e.err != io.EOF {
				t.Errorf("it ended with %v", e.err)
			}
			brokertest.Eventually(t, "the session has gone", func() bool { return srv.Broker.Sockets() == 0 })
			if n := srv.Broker.Stats().Ended[reason]; n != before+1 {
				t.Errorf("it does not count as %s", reason)
			}
		})
	}
}

// Pings are answered in place, each with its own payload, also within a
// fragmented message.
func TestPingsAreAnswered(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	p := rawWebSocket(t, srv).connect(t, "heart-beat", "0,0")
	for _, payload := range []string{"", "x", strings.Repeat("y", 125)} {
		p.raw(t, webSocketFrame(opPing, []byte(payload)))
		if e := p.want(t, "pong"); e.text != payload {
			t.Errorf("ping %q was answered with %q", payload, e.text)
		}
	}
	half := []byte("SEND\ndestination:/topic/a\nreceipt:1\n\nx\x00")
	p.raw(t, append(webSocketHeader(opText, 10), masked(half[:10])...))
	p.raw(t, webSocketFrame(opPing, []byte("within")))
	p.want(t, "pong")
	p.raw(t, append(webSocketHeader(0x80|opContinuation, len(half)-10), masked(half[10:])...))
	p.receipt(t, "1")
}

// A TCP client that sends everything and shuts its side down still gets all its
// receipts.
func TestHalfClosedClientGetsItsReceipts(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	p := rawTCP(t, srv)
	octets := []byte("CONNECT\naccept-version:1.2\n\n\x00")
	const n = 2000
	for i := range n {
		octets = fmt.Appendf(octets, "SEND\ndestination:/topic/a\nreceipt:%d\n\nx\x00", i)
	}
	p.raw(t, octets)
	if err := p.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.want(t, "CONNECTED")
	p.dec.SetVersion(frames.V12)
	for i := range n {
		p.receipt(t, fmt.Sprint(i))
	}
	if e := p.want(t, "end"); !errors.Is(e.err, io.EOF) {
		t.Errorf("it ended with %v", e.err)
	}
	waitEmpty(t, srv.Broker, 0)
	if n := srv.Broker.Stats().Ended["connection-lost"]; n != 1 {
		t.Errorf("ended as %v", srv.Broker.Stats().Ended)
	}
}
