package stream

import (
	"io"
	"net"
	"runtime"
	"testing"
)

// echo writes back everything it receives, with TryWrite.
func echo(c *Conn) error {
	return c.Receive(func(p []byte) error {
		_, err := c.TryWrite(p)
		return err
	})
}

func TestNoAllocations(t *testing.T) {
	ours, peer := tcpPair(t)
	go echo(ours)
	p := make([]byte, 222)
	round := func() {
		peer.Write(p)
		if _, err := io.ReadFull(peer, p); err != nil {
			t.Fatal(err)
		}
	}
	round()
	// Not exactly 0, because a garbage collection may empty the pool.
	if n := testing.AllocsPerRun(2000, round); n >= 1 {
		t.Errorf("%v allocations for a Receive and a TryWrite", n)
	}
}

func TestIdleConnectionsHoldNoBuffer(t *testing.T) {
	const conns = 1000
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, peers := make([]*Conn, conns), make([]net.Conn, conns)
	nets := make([]net.Conn, conns)
	for i := range conns {
		if peers[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if nets[i], err = l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	before, goroutines := usage(), runtime.NumGoroutine()
	echoed, ended := make(chan bool, conns), make(chan error, conns)
	for i, nc := range nets {
		ours[i] = New(nc, nil)
		go func() {
			ended <- ours[i].Receive(func([]byte) error { echoed <- true; return nil })
		}()
	}
	for _, peer := range peers { // each was busy once
		peer.Write([]byte("x"))
	}
	for range conns {
		wait(t, echoed)
	}
	after := usage()
	t.Logf("%d bytes of heap and %d of stack for an idle connection, the net.Conn not counted",
		(after.heap-before.heap)/conns, (after.stack-before.stack)/conns)
	if n := runtime.NumGoroutine() - goroutines; n != conns {
		t.Errorf("%d goroutines for %d connections", n, conns)
	}
	if per := (after.heap - before.heap) / conns; per > 1024 {
		t.Errorf("%d bytes of heap for an idle connection", per)
	}
	for i := range conns {
		ours[i].Close()
		peers[i].Close()
	}
	for range conns {
		wait(t, ended)
	}
}

func TestConnIsSmall(t *testing.T) {
	conns := make([]*Conn, 1000)
	ours, _ := listenPair(t, "tcp", "127.0.0.1:0")
	before := usage()
	for i := range conns {
		conns[i] = New(ours, nil)
	}
	per := float64(usage().heap-before.heap) / float64(len(conns))
	t.Logf("%.0f bytes for a Conn", per)
	if per > 210 {
		t.Errorf("%.0f bytes for a Conn, the package comment says 200", per)
	}
	runtime.KeepAlive(conns)
}

type memory struct{ heap, stack int64 }

// usage collects garbage three times: twice until a sync.Pool lets go, and once
// more for stacks, which shrink when they are scanned.
func usage() memory {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{int64(m.HeapAlloc), int64(m.StackInuse)}
}

func BenchmarkRoundTrip(b *testing.B) {
	b.Run("stream", func(b *testing.B) {
		ours, peer := tcpPair(b)
		go echo(ours)
		roundTrips(b, peer)
	})
	b.Run("net.Conn", func(b *testing.B) {
		ours, peer := listenPair(b, "tcp", "127.0.0.1:0")
		go func() {
			p := make([]byte, largeBuffer) // kept for comparison
			for {
				n, err := ours.Read(p)
				if err != nil {
					return
				}
				ours.Write(p[:n])
			}
		}()
		roundTrips(b, peer)
	})
	b.Run("tls", func(b *testing.B) {
		ours, peer := tlsPair(b)
		go ours.Receive(func(p []byte) error { _, err := ours.Write(p); return err })
		roundTrips(b, peer)
	})
}

func roundTrips(b *testing.B, peer net.Conn) {
	p := make([]byte, 222)
	b.ReportAllocs()
	for b.Loop() {
		peer.Write(p)
		if _, err := io.ReadFull(peer, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReceive(b *testing.B) {
	ours, peer := tcpPair(b)
	p := make([]byte, largeBuffer)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	total, done := 0, make(chan error)
	go func() { done <- ours.Receive(func(p []byte) error { total += len(p); return nil }) }()
	for b.Loop() {
		peer.Write(p)
	}
	peer.Close()
	if err := <-done; err != io.EOF {
		b.Fatal(err)
	}
}

func BenchmarkWrite(b *testing.B) {
	p := make([]byte, 222)
	b.Run("TryWrite", func(b *testing.B) {
		ours, peer := tcpPair(b)
		go io.CopyBuffer(io.Discard, struct{ io.Reader }{peer}, make([]byte, 256<<10))
		b.ReportAllocs()
		for b.Loop() {
			if n, err := ours.TryWrite(p); err != nil || n == 0 && waitRoom() {
				b.Fatal(err)
			}
		}
	})
	b.Run("net.Conn", func(b *testing.B) {
		ours, peer := listenPair(b, "tcp", "127.0.0.1:0")
		go io.CopyBuffer(io.Discard, struct{ io.Reader }{peer}, make([]byte, 256<<10))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ours.Write(p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("TryWrite to a full socket", func(b *testing.B) {
		ours, _ := tcpPair(b)
		for n := 1; n > 0; {
			n, _ = ours.TryWrite(make([]byte, 1<<20))
		}
		b.ReportAllocs()
		for b.Loop() {
			ours.TryWrite(p)
		}
	})
}

// waitRoom gives the reader of a benchmark its turn.
func waitRoom() bool { runtime.Gosched(); return false }
