package spring_test

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/frames"
)

// patience is how long anything may take, on a busy machine too.
const patience = time.Minute

// token is that of the admin API.
const token = "of-the-walk-through"

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// hoofbeat is a running broker.
type hoofbeat struct {
	web   string // http://…/ws, for SockJS
	tcp   string // host:port
	admin string // http://…
}

// serve runs it with the configuration of the walk-through, and what the
// environment changes of it.
func serve(t *testing.T, env ...string) hoofbeat {
	t.Helper()
	return run(t, env, "-c", "hoofbeat.yaml")
}

// run runs `serve` on ports of its own.
func run(t *testing.T, env []string, args ...string) hoofbeat {
	t.Helper()
	s := process.Serve(t, process.Options{Env: append([]string{"HOOFBEAT_ADMIN_TOKEN=" + token}, env...), Args: args})
	at := s.Addresses
	return hoofbeat{web: "http://" + at["listen"] + "/ws", tcp: at["tcp"], admin: "http://" + at["admin"]}
}

// A connection is one over TCP, as Spring's relay opens them.
type connection struct {
	t    *testing.T
	conn net.Conn
	dec  frames.Decoder
	buf  []byte
}

// relay opens a connection of StompBrokerRelayMessageHandler and says CONNECT,
// as broker/interop/relay has it recorded, with a login of
// WebSocketConfig.java.
func (h hoofbeat) relay(t *testing.T, login string) *connection {
	t.Helper()
	// The page's own headers come along. A token of the application's is none
	// of the broker's.
	return h.dial(t, login, "Authorization:Bearer of-the-application\nX-XSRF-TOKEN:2b9f\nlogin:"+login+"\npasscode:"+login+"-passcode\nhost:/\n")
}

// dial connects over TCP with these lines in CONNECT, and checks as whom.
func (h hoofbeat) dial(t *testing.T, user, headers string) *connection {
	t.Helper()
	conn, err := net.DialTimeout("tcp", h.tcp, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	c := &connection{t: t, conn: conn, buf: make([]byte, 64<<10)}
	c.dec.SetVersion(frames.V12)
	c.dec.SetLimits(frames.Limits{Frame: -1, Headers: -1, HeaderBytes: -1})
	c.say("CONNECT\naccept-version:1.1,1.2\nheart-beat:0,0\n%s\n\x00", headers)
	if f := c.next(); f.Command != "CONNECTED" || f.Get("user-name") != user {
		t.Fatalf("%s got %s %v", user, f.Command, f.Headers)
	}
	return c
}

func (c *connection) say(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// sure waits until what was said before is done.
func (c *connection) sure() {
	c.t.Helper()
	c.say("UNSUBSCRIBE\nid:none\nreceipt:sure\n\n\x00")
	if f := c.next(); f.Get("receipt-id") != "sure" {
		c.t.Fatalf("got %s %v %q", f.Command, f.Headers, f.Body)
	}
}

func (c *connection) next() *frames.Frame {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	for {
		f, ok, err := c.dec.Next()
		if err != nil {
			c.t.Fatal(err)
		}
		if ok {
			return f.Clone()
		}
		n, err := c.conn.Read(c.buf)
		if err != nil {
			c.t.Fatal(err)
		}
		c.dec.Feed(c.buf[:n])
	}
}

// want returns the next frame, a MESSAGE for this subscription with this body.
func (c *connection) want(subscription, body string) *frames.Frame {
	c.t.Helper()
	f := c.next()
	if f.Command != "MESSAGE" || f.Get("subscription") != subscription || string(f.Body) != body {
		c.t.Fatalf("got %s %v %q, want %q for %s", f.Command, f.Headers, f.Body, body, subscription)
	}
	return f
}
