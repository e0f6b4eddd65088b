package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is one end of a connection. got delivers what it reads; end delivers the
// error that ended its reading.
type peer struct {
	*net.TCPConn
	t   *testing.T
	got chan byte
	end chan error
}

func newPeer(t *testing.T, c net.Conn) *peer {
	p := &peer{c.(*net.TCPConn), t, make(chan byte, 1<<20), make(chan error, 1)}
	go func() {
		buf := make([]byte, 1000)
		for {
			n, err := c.Read(buf)
			for _, b := range buf[:n] {
				p.got <- b
			}
			if err != nil {
				p.end <- err
				return
			}
		}
	}()
	return p
}

func (p *peer) say(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) hear(want string) {
	p.t.Helper()
	for i := range want {
		if b := testkit.Receive(p.t, p.got); b != want[i] {
			p.t.Fatalf("byte %d is %q, want %q", i, b, want[i])
		}
	}
}

// ended checks how the connection ended for this side, and that nothing more
// arrived.
func (p *peer) ended(want error) {
	p.t.Helper()
	if err := testkit.Receive(p.t, p.end); !errors.Is(err, want) {
		p.t.Errorf("the connection ended with %v, want %v", err, want)
	}
	if n := len(p.got); n != 0 {
		p.t.Errorf("%d more bytes came", n)
	}
}

// through starts a proxy to a listener and connects.
type through struct {
	*Proxy
	t *testing.T
	l net.Listener
}

func start(t *testing.T, o Options) *through {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(l.Addr().String(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		_ = l.Close() // a test may have closed it
	})
	return &through{p, t, l}
}

func (p *through) connect() (client, server *peer, c *Conn) {
	p.t.Helper()
	one, err := net.DialTimeout("tcp", p.Addr(), testkit.Patience)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.l.(*net.TCPListener).SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		p.t.Fatal(err)
	}
	two, err := p.l.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = one.Close() // either may have ended
		_ = two.Close()
	})
	client, server = newPeer(p.t, one), newPeer(p.t, two)
	client.say("a") // so the proxy knows it
	server.hear("a")
	list := p.Conns()
	return client, server, list[len(list)-1]
}

func TestForwards(t *testing.T) {
	p := start(t, Options{})
	client, server, c := p.connect()
	long := strings.Repeat("0123456789", 5_000)
	said := make(chan error, 1)
	go func() {
		_, err := io.WriteString(server, long)
		said <- err
	}()
	client.hear(long)
	if err := testkit.Receive(t, said); err != nil {
		t.Fatal(err)
	}
	if n := c.Passed(ToClient); n != int64(len(long)) {
		t.Errorf("%d bytes have passed", n)
	}
	if n := c.Passed(Both); n != int64(len(long))+1 {
		t.Errorf("%d bytes have passed in both directions", n)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	server.ended(io.EOF) // one direction only
	server.say("bye")
	client.hear("bye")
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	client.ended(io.EOF)
	testkit.Receive(t, c.Done())
}

func TestDelay(t *testing.T) {
	p := start(t, Options{Seed: 1})
	client, server, _ := p.connect()
	p.Set(ToClient, Fault{Delay: 200 * time.Millisecond, Jitter: 50 * time.Millisecond})
	since := time.Now()
	server.say("slow")
	client.hear("slow")
	if d := time.Since(since); d < 200*time.Millisecond {
		t.Errorf("it took %v", d)
	}
	p.Heal()
	client.say("x")
	server.hear("x")
}

func TestJitterFollowsTheSeed(t *testing.T) {
	delays := func(seed uint64) (list [5]time.Duration) {
		p := start(t, Options{Seed: seed})
		_, _, c := p.connect()
		c.Set(Both, Fault{Jitter: time.Hour})
		for i := range list {
			list[i] = c.pipes[1].delay()
		}
		return list
	}
	first, again := delays(7), delays(7)
	if first != again {
		t.Error("one seed gives different delays")
	}
	if first == delays(8) {
		t.Error("two seeds give the same delays")
	}
}

func TestRate(t *testing.T) {
	p := start(t, Options{})
	client, server, _ := p.connect()
	p.Set(ToClient, Fault{Rate: 1000})
	since := time.Now()
	server.say(strings.Repeat("x", 300))
	client.hear(strings.Repeat("x", 300))
	if d := time.Since(since); d < 250*time.Millisecond {
		t.Errorf("300 bytes at 1,000 a second took %v", d)
	}
}

func TestCutAfter(t *testing.T) {
	p := start(t, Options{})
	client, server, c := p.connect()
	other, otherServer, _ := p.connect()
	c.Set(ToClient, Fault{CutAfter: 5})
	server.say("123")
	server.say("4567")
	client.hear("12345")
	client.ended(io.EOF)
	testkit.Receive(t, c.Done())
	other.say("still here")
	otherServer.hear("still here")
}

func TestResetAfter(t *testing.T) {
	p := start(t, Options{})
	p.Set(ToServer, Fault{ResetAfter: 4}) // one byte is said by connect
	client, server, _ := p.connect()
	client.say("123456")
	server.end, client.end = endAfter(server, "123"), endAfter(client, "")
	server.ended(syscall.ECONNRESET)
	client.ended(syscall.ECONNRESET)
}

// endAfter passes the end on; a reset may overtake the bytes before it, so they
// are only compared as far as they came.
func endAfter(p *peer, want string) chan error {
	err := testkit.Receive(p.t, p.end)
	var got []byte
	for len(p.got) > 0 {
		got = append(got, <-p.got)
	}
	if !bytes.HasPrefix([]byte(want), got) {
		p.t.Errorf("%q came, want %q", got, want)
	}
	c := make(chan error, 1)
	c <- err
	return c
}

func TestCutAndReset(t *testing.T) {
	p := start(t, Options{})
	client, server, c := p.connect()
	c.Cut()
	client.ended(io.EOF)
	server.ended(io.EOF)
	client, server, c = p.connect()
	c.Reset()
	client.ended(syscall.ECONNRESET)
	server.ended(syscall.ECONNRESET)
	if n := len(p.Conns()); n > 2 {
		t.Errorf("%d connections are there", n)
	}
}

// A hole discards one direction; the sender does not notice.
func TestHole(t *testing.T) {
	p := start(t, Options{})
	client, server, c := p.connect()
	c.Set(ToServer, Fault{Hole: true})
	client.say("gone")
	server.say("comes")
	client.hear("comes")
	for deadline := time.Now().Add(testkit.Patience); c.Passed(ToServer) < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the hole does not take it")
		}
	}
	p.Heal()
	client.say("back")
	server.hear("back")
}

// Data sent while the direction is frozen arrives afterwards.
func TestFreezeAndHeal(t *testing.T) {
	p := start(t, Options{})
	client, server, _ := p.connect()
	p.Set(Both, Fault{Frozen: true})
	long := strings.Repeat("0123456789", 1000)
	client.say(long)
	server.say("x")
	select {
	case <-server.got:
		t.Error("it is not frozen")
	case <-client.got:
		t.Error("it is not frozen")
	case <-time.After(50 * time.Millisecond): // nothing may happen
	}
	p.Heal()
	server.hear(long)
	client.hear("x")
}

func TestRefuseAndRetarget(t *testing.T) {
	p := start(t, Options{})
	p.Refuse(true)
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		refused := newPeer(t, c)
		refused.ended(syscall.ECONNRESET)
		_ = c.Close() // it has ended
	}
	p.Heal()
	other := start(t, Options{})
	p.Retarget(other.Addr())
	one, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = one.Close() }) // it is closed with the proxy
	two, err := other.l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = two.Close() })
	client, server := newPeer(t, one), newPeer(t, two)
	client.say("there")
	server.hear("there")
}

func TestOnlyLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "nonsense"} {
		if p, err := New("127.0.0.1:1", Options{Listen: address}); err == nil {
			_ = p.Close()
			t.Errorf("it listens on %s", address)
		}
	}
}
