package stream

import (
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// However much a peer has sent, a connection that is idle afterwards holds no
// large buffer.
func TestIdleLayeredHoldsSmallBuffer(t *testing.T) {
	const n = 30
	for _, size := range []int{smallBuffer, 2 * smallBuffer, largeBuffer} {
		for _, tr := range []struct {
			name string
			dial func(t testing.TB) (*Conn, net.Conn)
			own  int64 // including what crypto/tls keeps of the largest record
		}{{"pipe", pipePair, 4 << 10}, {"tls", tlsPair, 32 << 10}} {
			conns, peers := make([]*Conn, n), make([]net.Conn, n)
			for i := range n {
				conns[i], peers[i] = tr.dial(t)
			}
			got, ended := make(chan int, 1024*n), make(chan error, n)
			before := testkit.Heap()
			for i := range n {
				go func() {
					ended <- conns[i].Receive(func(p []byte) error { got <- len(p); return nil })
				}()
				go func() { _, _ = peers[i].Write(make([]byte, size)) }()
			}
			deadline := time.After(time.Minute)
			for left := n * size; left > 0; {
				select {
				case k := <-got:
					left -= k
				case <-deadline:
					t.Fatalf("%s: %d bytes have not come", tr.name, left)
				}
			}
			held := (testkit.Heap() - before) / n
			for end := time.Now().Add(time.Minute); held > tr.own && time.Now().Before(end); held = (testkit.Heap() - before) / n {
				runtime.Gosched() // still in peek
			}
			t.Logf("%s: an idle connection holds %d bytes after %d", tr.name, held, size)
			if held > tr.own {
				t.Errorf("%s: an idle connection holds %d bytes after %d, want at most %d", tr.name, held, size, tr.own)
			}
			for i := range n {
				_ = peers[i].Close()
				conns[i].Abort()
			}
			for range n {
				select {
				case <-ended:
				case <-deadline:
					t.Fatalf("%s: a Receive does not end", tr.name)
				}
			}
		}
	}
}

// A deadline that the caller sets, moves or removes during a peek takes effect.
func TestDeadlineWhilePeeking(t *testing.T) {
	ours, peer := pipePair(t)
	if err := ours.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	got, ended := make(chan int, 64), make(chan error, 1)
	go func() { ended <- ours.Receive(func(p []byte) error { got <- len(p); return nil }) }()
	for range 5 {
		if _, err := peer.Write(make([]byte, smallBuffer)); err != nil {
			t.Fatal(err)
		}
		for left := smallBuffer; left > 0; {
			select {
			case n := <-got:
				left -= n
			case err := <-ended:
				t.Fatalf("Receive ended: %v", err)
			case <-time.After(time.Minute):
				t.Fatal("nothing came")
			}
		}
		if err := ours.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ours.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Receive returned %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the deadline does not end Receive")
	}
}
