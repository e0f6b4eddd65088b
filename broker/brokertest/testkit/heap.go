package testkit

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
)

// Heap returns the number of live heap bytes. It collects garbage three times,
// because a sync.Pool keeps what is in it for two collections.
func Heap() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// WantHeap expects that fill, which is called once, adds at most this number of
// bytes to the heap. What it fills must stay alive until the test ends.
func WantHeap(t testing.TB, most int64, fill func()) {
	t.Helper()
	before := Heap()
	fill()
	held := Heap() - before
	t.Logf("%d bytes are held, at most %d may be", held, most)
	if held > most {
		t.Errorf("%d bytes are held, at most %d may be", held, most)
	}
}

// Network returns an address of the network i, each of which has one.
func Network(i int) netip.Addr {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(i)+1<<24)
	return netip.AddrFrom4(ip)
}
