package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestTryWrite(t *testing.T) {
	eachTransport(t, func(t *testing.T, plain bool, ours *Conn, peer net.Conn) {
		if ours.CanTry() != plain {
			t.Fatalf("CanTry is %v", !plain)
		}
		n, err := ours.TryWrite([]byte("hello"))
		if !plain {
			if n != 0 || err != nil {
				t.Fatalf("got %d, %v, want 0, nil", n, err)
			}
			return
		}
		if n != 5 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(peer, got); err != nil || string(got) != "hello" {
			t.Fatalf("the peer got %q, %v", got, err)
		}
		if n, err := ours.TryWrite(nil); n != 0 || err != nil {
			t.Fatalf("nothing: %d, %v", n, err)
		}
		ours.Close()
		if _, err := ours.TryWrite([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("after Close: %v", err)
		}
	})
}

// A full socket accepts a part, then nothing, and never blocks. A Write
// continues where TryWrite stopped, and no byte is lost or duplicated.
func TestTryWriteFullSocket(t *testing.T) {
	for _, pair := range []func(testing.TB) (*Conn, net.Conn){tcpPair, unixPair} {
		ours, peer := pair(t)
		sent := make([]byte, 32<<20)
		for i := range sent {
			sent[i] = byte(i >> 10)
		}
		taken := 0
		for {
			n, err := ours.TryWrite(sent[taken:min(len(sent), taken+100_000)])
			if err != nil {
				t.Fatal(err)
			}
			taken += n
			if n == 0 {
				break
			}
		}
		if taken == 0 || taken == len(sent) {
			t.Fatalf("took %d bytes of %d", taken, len(sent))
		}
		read := make(chan []byte)
		go func() {
			got, _ := io.ReadAll(peer)
			read <- got
		}()
		if _, err := ours.Write(sent[taken:]); err != nil {
			t.Fatal(err)
		}
		ours.CloseWrite()
		if got := testkit.Receive(t, read); !bytes.Equal(got, sent) {
			t.Fatalf("the peer got %d other bytes than the %d sent", len(got), len(sent))
		}
	}
}

func TestTryWriteToDeadPeer(t *testing.T) {
	ours, peer := tcpPair(t)
	_, end := receiving(ours)
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	testkit.Receive(t, end) // the reset has arrived
	if n, err := ours.TryWrite([]byte("x")); n != 0 || err == nil || errors.Is(err, net.ErrClosed) {
		t.Fatalf("got %d, %v, want the network's error", n, err)
	}
}

func TestTryWriteBesideClose(t *testing.T) {
	for range 50 {
		ours, peer := tcpPair(t)
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(io.Discard, peer) })
		started := make(chan struct{})
		wg.Go(func() {
			p := make([]byte, 1000)
			for i := 0; ; i++ {
				if i == 10 {
					close(started)
				}
				if _, err := ours.TryWrite(p); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("got %v", err)
					}
					return
				}
				runtime.Gosched()
			}
		})
		testkit.Receive(t, started)
		ours.Close()
		testkit.Wait(t, &wg)
		peer.Close()
	}
}
