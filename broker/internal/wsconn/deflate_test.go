package wsconn

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// unpack reads one compressed frame as a client does.
func unpack(t testing.TB, b []byte) (ws.OpCode, string) {
	t.Helper()
	r := bytes.NewReader(b)
	f, err := ws.ReadHeader(r)
	if err != nil || f.Length != int64(r.Len()) {
		t.Fatalf("%x is not one frame: %v", b, err)
	}
	if !f.Fin || f.Rsv != ws.Rsv(true, false, false) || f.Masked {
		t.Fatalf("header %+v", f)
	}
	got, err := io.ReadAll(flate.NewReader(io.MultiReader(r, strings.NewReader(flushed))))
	if err != nil {
		t.Fatalf("inflating %x: %v", b, err)
	}
	return f.OpCode, string(got)
}

func TestDeflate(t *testing.T) {
	for _, n := range []int{70, 300, 5000, 70_000, 1 << 20} {
		tail := bytes.Repeat([]byte("the common part, "), n/17+1)[:n]
		for _, stored := range []string{"", "x", "subscription:sub-0\n", strings.Repeat("y", MaxStored)} {
			d := Deflate(tail)
			if d == nil || len(d) >= n {
				t.Fatalf("%d bytes became %d", n, len(d))
			}
			b := AppendDeflatedHeader([]byte("before"), n == 300, len(stored), len(d))
			if len(b) != 6+DeflatedHeaderSize(len(stored), len(d)) {
				t.Errorf("header of %d bytes, DeflatedHeaderSize says %d", len(b)-6, DeflatedHeaderSize(len(stored), len(d)))
			}
			op, got := unpack(t, append(append(b, stored...), d...)[6:])
			if got != stored+string(tail) || (op == ws.OpBinary) != (n == 300) {
				t.Errorf("%d and %d bytes: opcode %v, %.100q", len(stored), n, op, got)
			}
		}
	}
}

func TestDeflateOnlyWhatShrinks(t *testing.T) {
	random := make([]byte, 1000)
	rand.Read(random)
	for _, p := range [][]byte{nil, []byte("x"), []byte("abc def"), random} {
		if d := Deflate(p); d != nil {
			t.Errorf("%d bytes became %d", len(p), len(d))
		}
	}
}

// A reused compressor keeps nothing of the previous message.
func TestDeflateHasNoMemory(t *testing.T) {
	p := []byte(strings.Repeat("secret ", 100))
	first := Deflate(p)
	for range 10 {
		if got := Deflate(p); !bytes.Equal(got, first) {
			t.Fatalf("%x, the first time %x", got, first)
		}
	}
}

func TestDeflateFromManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p := []byte(strings.Repeat(string(rune('a'+i)), 1000+i))
			for range 50 {
				d := Deflate(p)
				if _, got := unpack(t, append(AppendDeflatedHeader(nil, false, 0, len(d)), d...)); got != string(p) {
					t.Errorf("%.100q", got)
				}
			}
		})
	}
	testkit.Wait(t, &wg)
}

func BenchmarkDeflate(b *testing.B) {
	p := []byte(strings.Repeat(`{"symbol":"ACME","price":12.34,"status":"open"},`, 22)[:1024])
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		Deflate(p)
	}
}
