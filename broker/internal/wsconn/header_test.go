package wsconn

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

// A header parses as in the library, whole or cut anywhere, for any bytes.
func TestHeaderAsTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := append(
			rapid.SliceOfN(rapid.Byte(), 1, 1).Draw(t, "first"),
			rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0xfe, 0xff, 0x7e, 0x7f})).Draw(t, "second"))
		p = append(p, rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "rest")...)
		r := bytes.NewReader(p)
		want, wantErr := ws.ReadHeader(r)
		taken := len(p) - r.Len()

		var f ws.Header
		n, err := parseHeader(&f, p)
		if n == 0 { // not complete
			if wantErr == nil {
				t.Fatalf("%x is incomplete, the library reads %+v", p, want)
			}
			return
		}
		if (err == nil) != (wantErr == nil) || n != taken || err == nil && f != want {
			t.Fatalf("%x: %+v of %d bytes, %v; the library reads %+v of %d, %v", p, f, n, err, want, taken, wantErr)
		}
		cut := rapid.IntRange(1, n-1).Draw(t, "cut")
		var h header
		var g ws.Header
		if m, complete, _ := h.next(&g, p[:cut]); complete || m != cut {
			t.Fatalf("%x cut at %d is complete", p, cut)
		}
		m, complete, err2 := h.next(&g, p[cut:])
		if !complete || m != n-cut || err2 != err || g != f {
			t.Fatalf("%x cut at %d: %+v, %d bytes, %v", p, cut, g, m, err2)
		}
	})
}
