package spring_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// patience is how long anything may take, on a busy machine too.
const patience = time.Minute

// token is that of the admin API.
const token = "of-the-walk-through"

var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "spring")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "hoofbeat")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/hoofbeat").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

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
	return run(t, env, "serve", "-c", "hoofbeat.yaml")
}

// run runs it on ports that are free.
func run(t *testing.T, env []string, args ...string) hoofbeat {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{
		"HOME=" + t.TempDir(), "HOOFBEAT_LISTEN=127.0.0.1:0", "HOOFBEAT_ADMIN=127.0.0.1:0", "HOOFBEAT_TCP=127.0.0.1:0",
		"HOOFBEAT_ADMIN_TOKEN=" + token, "HOOFBEAT_LOG_FORMAT=json",
	}, env...)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, done := make(chan string, 1000), make(chan struct{})
	go func() {
		defer close(done)
		defer close(lines)
		for in := bufio.NewScanner(said); in.Scan(); {
			select {
			case lines <- in.Text():
			default: // nobody reads that much
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		testkit.Receive(t, done)
		_ = cmd.Wait() // it was killed
	})
	var h hoofbeat
	var log strings.Builder
	for h.web == "" || h.tcp == "" || h.admin == "" {
		line, ok := testkit.ReceiveOK(t, lines)
		if !ok {
			t.Fatalf("hoofbeat has ended:\n%s", log.String())
		}
		fmt.Fprintln(&log, line)
		var entry struct{ Msg, Listener, Address string }
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg != "listening" {
			continue
		}
		switch entry.Listener {
		case "listen":
			h.web = "http://" + entry.Address + "/ws"
		case "tcp":
			h.tcp = entry.Address
		case "admin":
			h.admin = "http://" + entry.Address
		}
	}
	return h
}

// A connection is one over TCP, as Spring's relay opens them.
type connection struct {
	t    *testing.T
	conn net.Conn
	dec  frames.Decoder
	buf  []byte
}

// relay opens a connection of StompBrokerRelayMessageHandler and says CONNECT, as
// broker/interop/relay has it recorded, with a login of WebSocketConfig.java.
func (h hoofbeat) relay(t *testing.T, login string) *connection {
	t.Helper()
	// The page's own headers come along. A token of the application's is none of the broker's.
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
