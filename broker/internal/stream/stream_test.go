package stream

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transports are the kinds of connection that everything must work on.
var transports = []struct {
	name  string
	plain bool
	dial  func(t testing.TB) (ours *Conn, peer net.Conn)
}{
	{"tcp", true, tcpPair},
	{"unix", true, unixPair},
	{"tls", false, tlsPair},
	{"pipe", false, pipePair},
}

func eachTransport(t *testing.T, f func(t *testing.T, plain bool, ours *Conn, peer net.Conn)) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			ours, peer := tr.dial(t)
			f(t, tr.plain && runtime.GOOS != "windows", ours, peer)
		})
	}
}

func listenPair(t testing.TB, network, address string) (ours, peer net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); peer.Close() })
	return ours, peer
}

func tcpPair(t testing.TB) (*Conn, net.Conn) {
	ours, peer := listenPair(t, "tcp", "127.0.0.1:0")
	return New(ours, nil), peer
}

func unixPair(t testing.TB) (*Conn, net.Conn) {
	dir, err := os.MkdirTemp("", "s") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ours, peer := listenPair(t, "unix", dir+"/s")
	return New(ours, nil), peer
}

func tlsPair(t testing.TB) (*Conn, net.Conn) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS() // for its certificate
	config := s.TLS
	s.Close()
	a, b := listenPair(t, "tcp", "127.0.0.1:0")
	ours, peer := tls.Server(a, config), tls.Client(b, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	if err := ours.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Receive(t, done); err != nil {
		t.Fatal(err)
	}
	return New(ours, nil), peer
}

func pipePair(t testing.TB) (*Conn, net.Conn) {
	ours, peer := net.Pipe()
	t.Cleanup(func() { ours.Close(); peer.Close() })
	return New(ours, nil), peer
}

// receiving runs Receive and passes on its data and its error.
func receiving(c *Conn) (<-chan string, <-chan error) {
	data, end := make(chan string, 1000), make(chan error, 1)
	go func() {
		end <- c.Receive(func(p []byte) error {
			data <- string(p)
			return nil
		})
		close(data)
	}()
	return data, end
}

func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing happened in a minute")
		panic("unreachable")
	}
}

func TestReceiveUntilEOF(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ bool, ours *Conn, peer net.Conn) {
		data, end := receiving(ours)
		for _, s := range []string{"a", "bc", "\n"} {
			if _, err := peer.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
			if got := wait(t, data); got != s {
				t.Fatalf("got %q, want %q", got, s)
			}
		}
		peer.Close()
		if err := wait(t, end); err != io.EOF {
			t.Fatalf("ended with %v, want io.EOF", err)
		}
	})
}

func TestReceiveMuch(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ bool, ours *Conn, peer net.Conn) {
		sent := make([]byte, 1<<20+17)
		for i := range sent {
			sent[i] = byte(i * i >> 3)
		}
		go func() {
			peer.Write(sent)
			peer.Close()
		}()
		var got []byte
		calls := 0
		err := ours.Receive(func(p []byte) error {
			calls++
			got = append(got, p...)
			clear(p) // the callee may change it
			return nil
		})
		if err != io.EOF || !bytes.Equal(got, sent) {
			t.Fatalf("got %d of %d bytes, %v", len(got), len(sent), err)
		}
		// A small buffer alone would need 2,049 calls, TLS with 16 KiB records
		// and a small read before each large one some 130.
		if calls > 600 {
			t.Errorf("%d calls for 1 MiB", calls)
		}
	})
}

func TestReceiveEarlyFirst(t *testing.T) {
	a, peer := listenPair(t, "tcp", "127.0.0.1:0")
	peer.Write([]byte("late"))
	data, end := receiving(New(a, []byte("early")))
	if got := wait(t, data); got != "early" {
		t.Fatalf("first came %q", got)
	}
	if got := wait(t, data); got != "late" {
		t.Fatalf("then came %q", got)
	}
	peer.Close()
	wait(t, end)
}

func TestReceiveWithoutEarlyCallsNothing(t *testing.T) {
	a, peer := listenPair(t, "tcp", "127.0.0.1:0")
	peer.Close()
	err := New(a, []byte{}).Receive(func(p []byte) error {
		t.Errorf("called with %q", p)
		return nil
	})
	if err != io.EOF {
		t.Fatal(err)
	}
}

func TestReceiveReturnsCallbackError(t *testing.T) {
	stop := errors.New("stop")
	eachTransport(t, func(t *testing.T, _ bool, ours *Conn, peer net.Conn) {
		go peer.Write([]byte("x"))
		if err := ours.Receive(func([]byte) error { return stop }); err != stop {
			t.Fatalf("got %v", err)
		}
	})
	ours, _ := tcpPair(t)
	ours.early = []byte("x")
	if err := ours.Receive(func([]byte) error { return stop }); err != stop {
		t.Fatalf("early: got %v", err)
	}
}

// A FIN that comes together with data raises no event of its own.
func TestReceiveDataAndFINTogether(t *testing.T) {
	for range 200 {
		a, peer := listenPair(t, "tcp", "127.0.0.1:0")
		peer.Write([]byte("bye"))
		peer.Close()
		data, end := receiving(New(a, nil))
		if got := wait(t, data); got != "bye" {
			t.Fatalf("got %q", got)
		}
		if err := wait(t, end); err != io.EOF {
			t.Fatal(err)
		}
		a.Close()
	}
}

func TestReset(t *testing.T) {
	ours, peer := tcpPair(t)
	_, end := receiving(ours)
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	if err := wait(t, end); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("ended with %v, want ECONNRESET", err)
	}
}

func TestCloseAndAbortWakeReceive(t *testing.T) {
	for name, stop := range map[string]func(*Conn){
		"close": func(c *Conn) { c.Close() },
		"abort": (*Conn).Abort,
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, _ bool, ours *Conn, peer net.Conn) {
				data, end := receiving(ours)
				peer.Write([]byte("x"))
				wait(t, data) // so that the reader is, or will be, waiting
				if _, ok := peer.(*tls.Conn); ok {
					go io.Copy(io.Discard, peer)
				}
				stop(ours)
				if err := wait(t, end); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
					t.Fatalf("ended with %v", err)
				}
			})
		})
	}
}

// Close waits until nobody holds the descriptor, so the callback must not hold
// it.
func TestCloseWithinReceive(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ bool, ours *Conn, peer net.Conn) {
		go io.Copy(io.Discard, peer)
		end := make(chan error, 1)
		go func() {
			end <- ours.Receive(func([]byte) error { ours.Close(); return nil })
		}()
		peer.Write([]byte("x"))
		if err := wait(t, end); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			t.Fatalf("ended with %v", err)
		}
	})
}

func TestCloseWhileCallbackRuns(t *testing.T) {
	ours, peer := tcpPair(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	end := make(chan error, 1)
	go func() {
		end <- ours.Receive(func([]byte) error {
			inside <- struct{}{}
			testkit.Hold(t, leave)
			return nil
		})
	}()
	peer.Write([]byte("x"))
	testkit.Receive(t, inside)
	closed := make(chan error, 1)
	go func() { closed <- ours.Close() }()
	if err := wait(t, closed); err != nil {
		t.Fatal(err)
	}
	close(leave)
	wait(t, end)
}

func TestReadDeadline(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ bool, ours *Conn, peer net.Conn) {
		data, end := receiving(ours)
		peer.Write([]byte("x"))
		wait(t, data)
		ours.SetReadDeadline(time.Unix(1, 0)) // wakes a reader that is waiting
		if err := wait(t, end); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("ended with %v", err)
		}
		ours.SetReadDeadline(time.Time{})
		data, end = receiving(ours)
		peer.Write([]byte("y"))
		if got := wait(t, data); got != "y" {
			t.Fatalf("got %q", got)
		}
		peer.Close()
		if err := wait(t, end); err != io.EOF {
			t.Fatal(err)
		}
	})
}

func TestAbortUnblocksWriteAndResets(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ bool, ours *Conn, peer net.Conn) {
		end := make(chan error, 1)
		go func() {
			for {
				if _, err := ours.Write(make([]byte, 1<<20)); err != nil {
					end <- err
					return
				}
			}
		}()
		_, err := io.ReadFull(peer, make([]byte, 1000)) // it is writing
		if err != nil {
			t.Fatal(err)
		}
		ours.Abort()
		if err := wait(t, end); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write ended with %v", err)
		}
		_, err = io.Copy(io.Discard, peer)
		switch peer.(type) {
		case *net.TCPConn, *tls.Conn:
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the peer saw %v, want a reset", err)
			}
		}
		ours.Abort() // once more is harmless
	})
}

func TestCloseWrite(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ bool, ours *Conn, peer net.Conn) {
		if err := ours.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, isPipe := ours.nc.(interface{ CloseWrite() error }); !isPipe {
			return // has no half-close: nothing happened, and no error
		}
		if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("the peer read %v, want io.EOF", err)
		}
		data, end := receiving(ours)
		peer.Write([]byte("still here"))
		if got := wait(t, data); got != "still here" {
			t.Fatalf("got %q", got)
		}
		peer.Close()
		wait(t, end)
	})
}

func TestAddressAndTLS(t *testing.T) {
	ours, peer := tcpPair(t)
	if got := ours.RemoteAddr().String(); got != peer.LocalAddr().String() || ours.TLS() != nil {
		t.Errorf("tcp: %s, %v", got, ours.TLS())
	}
	ours, peer = tlsPair(t)
	if got := ours.RemoteAddr().String(); got != peer.LocalAddr().String() || ours.TLS() == nil || !ours.TLS().HandshakeComplete {
		t.Errorf("tls: %s, %v", got, ours.TLS())
	}
	for _, pair := range []func(testing.TB) (*Conn, net.Conn){unixPair, pipePair} {
		if ours, _ = pair(t); ours.RemoteAddr() != (netip.AddrPort{}) {
			t.Errorf("got %v, want the zero address", ours.RemoteAddr())
		}
	}
	mapped := New(addrConn{addr: &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1").To16(), Port: 7}}, nil)
	if got := mapped.RemoteAddr(); got != netip.MustParseAddrPort("192.0.2.1:7") {
		t.Errorf("an IPv4 peer of a dual-stack listener is %v", got)
	}
}

type addrConn struct {
	net.Conn
	addr net.Addr
}

func (c addrConn) RemoteAddr() net.Addr { return c.addr }

// A type that embeds a TCPConn may change the data that passes through it.
func TestWrappedConnIsNotBypassed(t *testing.T) {
	a, _ := listenPair(t, "tcp", "127.0.0.1:0")
	c := New(struct{ *net.TCPConn }{a.(*net.TCPConn)}, nil)
	if c.CanTry() {
		t.Error("CanTry on a wrapper")
	}
}
