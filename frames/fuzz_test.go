package frames

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var fuzzLimits = Limits{Frame: 200, Headers: 5, HeaderBytes: 80}

var fuzzSeeds = []string{
	recorded,
	"\n\r\nSEND\r\ndestination:/a\r\ncontent-length:3\r\n\r\na\x00b\x00\n",
	"SEND\na\\c\\n\\\\:\\r\n\nbody\x00RECEIPT\nreceipt-id: 1\n\x00",
	"CONNECT\nlogin: user\npasscode:\\x\n\n\x00SEND\na: b\n\n\x00",
	"SUBSCRIBE\nid:0\n\nbody\x00",
	"SEND\na:1\na:2\na:3\na:4\na:5\na:6\n\n\x00",
	"SEND\na:b\x00\n\n\x00", "SEND\ra", "\r\rSEND", "SEND\ncontent-length:184\n\n", "SEND\n\n\x00\x00",
}

// decodeCut feeds in in chunks with the sizes in cuts, then the rest, as a
// session does: it sets the version between CONNECT and the frames after it. It
// overwrites a chunk once the Decoder must be done with it.
func decodeCut(d *Decoder, v Version, in, cuts []byte, check func()) (got []*Frame, err error) {
	for len(in) > 0 {
		n := len(in)
		if len(cuts) > 0 {
			n, cuts = min(n, int(cuts[0])), cuts[1:]
		}
		chunk := slices.Clone(in[:n])
		in = in[n:]
		d.Feed(chunk)
		for {
			f, ok, err := d.Next()
			if err != nil {
				return got, err
			}
			if !ok {
				break
			}
			if got = append(got, f.Clone()); f.Command == CommandConnect {
				d.SetVersion(v)
			}
		}
		for i := range chunk {
			chunk[i] = 0xAA
		}
		check()
	}
	return got, nil
}

// FuzzDecode checks that no input makes a Decoder panic or hold more than its
// limits, and that no frame exceeds them.
func FuzzDecode(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s), []byte{1, 3, 20}, byte(V12))
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte, v byte) {
		var d Decoder
		d.SetLimits(fuzzLimits)
		got, err := decodeCut(&d, Version(v%4), in, cuts, func() {
			if d.Buffered() > fuzzLimits.Frame {
				t.Fatalf("holds %d bytes", d.Buffered())
			}
		})
		if err != nil && (d.ws != nil || d.in != nil) {
			t.Fatal("a dead decoder holds memory")
		}
		for _, f := range got {
			size := len(f.Body)
			for _, h := range f.Headers {
				size += len(h.Name) + len(h.Value)
			}
			if size > fuzzLimits.Frame || len(f.Headers) > fuzzLimits.Headers || !isCommand(f.Command) {
				t.Fatalf("frame beyond the limits: %s", list([]*Frame{f}))
			}
			for _, h := range f.Headers {
				if h.Name == "" {
					t.Fatal("header without a name")
				}
			}
		}
		d.Release()
	})
}

// FuzzSplit checks that the same bytes give the same frames and the same error,
// wherever they are cut.
func FuzzSplit(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s), []byte{7, 0, 1, 1, 30}, byte(V11))
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte, v byte) {
		run := func(cuts []byte) ([]*Frame, string) {
			var d Decoder
			d.SetLimits(fuzzLimits)
			got, err := decodeCut(&d, Version(v%4), in, cuts, func() {})
			if err != nil {
				return got, err.Error()
			}
			return got, ""
		}
		want, wantErr := run(nil)
		for _, cuts := range [][]byte{cuts, bytes.Repeat([]byte{1}, len(in))} {
			got, err := run(cuts)
			wantFrames(t, got, want...)
			if err != wantErr {
				t.Errorf("error %q, uncut %q", err, wantErr)
			}
		}
	})
}

// roundTrip checks that decoding the output of Append gives the frame again:
// exactly the headers that the version can express, and the same body.
func roundTrip(t *rapid.T) {
	v := rapid.SampledFrom([]Version{Unnegotiated, V10, V11, V12}).Draw(t, "version")
	text := rapid.StringOf(rapid.SampledFrom([]rune(":\\\n\r\x00 ncré/-\uFFFD")))
	in := &Frame{Command: rapid.SampledFrom(commands[:]).Draw(t, "command")}
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		in.Headers = append(in.Headers, Header{text.Draw(t, "name"), text.Draw(t, "value")})
	}
	in.Body = rapid.SliceOf(rapid.Byte()).Draw(t, "body")

	want := &Frame{Command: in.Command}
	for _, h := range in.Headers {
		if canExpress(v, in.Command, h) {
			want.Headers = append(want.Headers, trimmed(v, in.Command, h))
		}
	}
	if hasBody(in.Command) {
		want.Body = in.Body
	}

	octets := Append(nil, v, in)
	got, err := decode(v, string(octets), string(octets))
	if err != nil || len(got) != 2 || !same(got[0], got[1]) {
		t.Fatalf("%q: %d frames, %v", octets, len(got), err)
	}
	if hasBody(in.Command) {
		got[0].Headers = got[0].Headers[:len(got[0].Headers)-1] // content-length
	}
	if !same(got[0], want) {
		t.Fatalf("%q:\n got %s\nwant %s", octets, list(got[:1]), list([]*Frame{want}))
	}
}

// canExpress is a second implementation, byte by byte, by the words of the
// specification.
func canExpress(v Version, command string, h Header) bool {
	raw := v == Unnegotiated || v == V10 || command == CommandConnect || command == CommandStomp || command == CommandConnected
	for _, c := range []byte(h.Name + h.Value) {
		if c == 0 || c == '\r' && (raw || v == V11) || c == '\n' && raw {
			return false
		}
	}
	return h.Name != "" && (!raw || !bytes.Contains([]byte(h.Name), []byte(":")))
}

// trimmed returns h as a 1.0 reader sees it. A CONNECT without accept-version
// counts as 1.0.
func trimmed(v Version, command string, h Header) Header {
	if v == V10 || v == Unnegotiated && command == CommandConnect {
		h.Value = strings.Trim(h.Value, " \t")
	}
	return h
}

func TestRoundTrip(t *testing.T) { rapid.Check(t, roundTrip) }

func FuzzRoundTrip(f *testing.F) { f.Fuzz(rapid.MakeFuzz(roundTrip)) }
