package wsconn

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

func TestAppendHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 40} {
		for _, binary := range []bool{false, true} {
			want := ws.Header{Fin: true, OpCode: ws.OpText, Length: int64(n)}
			if binary {
				want.OpCode = ws.OpBinary
			}
			b := AppendHeader([]byte("before"), binary, n)
			got, err := ws.ReadHeader(bytes.NewReader(b[6:]))
			if err != nil || got != want || string(b[:6]) != "before" || len(b) != 6+HeaderSize(n) {
				t.Errorf("%d: %x reads as %+v, %v", n, b, got, err)
			}
		}
	}
}

func TestAppendControl(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 200)
	for _, c := range []struct {
		got, want []byte
	}{
		{AppendPing(nil, nil), []byte{0x89, 0}},
		{AppendPing([]byte("a"), []byte("bc")), []byte("a\x89\x02bc")},
		{AppendPong(nil, []byte("bc")), []byte("\x8a\x02bc")},
		{AppendPong(nil, long), append([]byte{0x8a, 125}, long[:125]...)},
		{AppendClose(nil, 0, "unused"), []byte{0x88, 0}},
		{AppendClose(nil, 1005, "unused"), []byte{0x88, 0}},
		{AppendClose(nil, 1006, ""), []byte{0x88, 0}},
		{AppendClose(nil, 1000, ""), []byte{0x88, 2, 0x03, 0xe8}},
		{AppendClose([]byte("a"), 4403, "no"), []byte("a\x88\x04\x11\x33no")},
		{AppendClose(nil, 1000, "a\xff"), []byte("\x88\x06\x03\xe8a\uFFFD")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestAppendCloseCutsBetweenCharacters(t *testing.T) {
	for shift := range 4 {
		reason := strings.Repeat("x", shift) + strings.Repeat("😀", 40)
		b := AppendClose(nil, 1000, reason)
		if got := string(b[4:]); len(got) > 123 || len(got) < 120 || !utf8.ValidString(got) || !strings.HasPrefix(reason, got) {
			t.Errorf("shift %d: %d bytes, %q", shift, len(got), got)
		}
		if int(b[1]) != len(b)-2 {
			t.Errorf("shift %d: header says %d of %d", shift, b[1], len(b)-2)
		}
	}
	if b := AppendClose(nil, 1000, strings.Repeat("x", 123)); len(b) != 127 {
		t.Errorf("123 bytes fit, got %d", len(b)-4)
	}
}

func TestEncodersDoNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 512)
	payload := []byte("payload")
	if n := testing.AllocsPerRun(100, func() {
		b := AppendHeader(dst, true, 70000)
		b = AppendPing(b, payload)
		b = AppendPong(b, payload)
		_ = AppendClose(b, 1001, "going away")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
