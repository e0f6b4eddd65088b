package frames

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// drain returns clones of all frames that d has.
func drain(d *Decoder) (got []*Frame, err error) {
	for {
		f, ok, err := d.Next()
		if err != nil || !ok {
			return got, err
		}
		got = append(got, f.Clone())
	}
}

// decode feeds the chunks to a new Decoder of version v. It overwrites each
// chunk once the Decoder must be done with it.
func decode(v Version, chunks ...string) (got []*Frame, err error) {
	var d Decoder
	d.SetVersion(v)
	return feedAll(&d, chunks...)
}

func feedAll(d *Decoder, chunks ...string) (got []*Frame, err error) {
	for _, c := range chunks {
		p := []byte(c)
		d.Feed(p)
		more, err := drain(d)
		got = append(got, more...)
		if err != nil {
			return got, err
		}
		for i := range p {
			p[i] = 0xAA
		}
	}
	return got, nil
}

func octetwise(s string) []string {
	chunks := make([]string, len(s))
	for i := range len(s) {
		chunks[i] = s[i : i+1]
	}
	return chunks
}

func frame(command, body string, headers ...string) *Frame {
	f := &Frame{Command: command}
	for i := 0; i+1 < len(headers); i += 2 {
		f.Headers = append(f.Headers, Header{headers[i], headers[i+1]})
	}
	if body != "" {
		f.Body = []byte(body)
	}
	return f
}

func same(a, b *Frame) bool {
	return a.Command == b.Command && slices.Equal(a.Headers, b.Headers) && bytes.Equal(a.Body, b.Body)
}

func wantFrames(t *testing.T, got []*Frame, want ...*Frame) {
	t.Helper()
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("frames:\n got %s\nwant %s", list(got), list(want))
	}
}

func list(frames []*Frame) string {
	var b strings.Builder
	for _, f := range frames {
		b.WriteString("\n\t" + f.Command)
		for _, h := range f.Headers {
			b.WriteString(" | " + h.Name + "=" + strings.Map(visible, h.Value))
		}
		b.WriteString(" || " + strings.Map(visible, string(f.Body)))
	}
	return b.String()
}

func visible(r rune) rune {
	if r < ' ' {
		return '␀' + r
	}
	return r
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}

func TestDecoderVersionChangesInsideAChunk(t *testing.T) {
	var d Decoder
	d.Feed([]byte("CONNECT\npasscode:a\\nb\n\n\x00SEND\ndestination:a\\nb\n\n\x00"))
	f, ok, err := d.Next()
	if err != nil || !ok || f.Get("passcode") != `a\nb` {
		t.Fatalf("CONNECT: %v %v %v", f, ok, err)
	}
	d.SetVersion(V12)
	f, ok, err = d.Next()
	if err != nil || !ok || f.Get(HeaderDestination) != "a\nb" {
		t.Fatalf("SEND: %v %v %v", f, ok, err)
	}
}

func TestDecoderLimitsChangeInsideAChunk(t *testing.T) {
	var d Decoder
	d.SetLimits(Limits{Frame: 64})
	d.Feed([]byte("CONNECT\naccept-version:1.2\n\n\x00SEND\n\n" + strings.Repeat("x", 100) + "\x00"))
	if _, ok, err := d.Next(); err != nil || !ok {
		t.Fatal(ok, err)
	}
	d.SetLimits(Limits{Frame: 128})
	if f, ok, err := d.Next(); err != nil || !ok || len(f.Body) != 100 {
		t.Fatal(ok, err)
	}
}

func TestDecoderFedAgainBeforeTheRestWasTaken(t *testing.T) {
	var d Decoder
	d.Feed([]byte("CONNECT\n\n\x00SEND\n\nfir"))
	if _, ok, err := d.Next(); err != nil || !ok {
		t.Fatal(ok, err)
	}
	d.Feed([]byte("st\x00SEND\n\nsec"))
	d.Feed([]byte("ond\x00"))
	got, err := drain(&d)
	wantError(t, err, "")
	wantFrames(t, got, frame(CommandSend, "first"), frame(CommandSend, "second"))
}

func TestDecoderDoesNotWriteToFedOctets(t *testing.T) {
	p := []byte("SEND\na:\\\\b\n\nbody\x00SEND\n\nnext\x00and what the caller's buffer has behind it")
	before := slices.Clone(p)
	var d Decoder
	d.SetVersion(V12)
	d.Feed(p[:bytes.Index(p, []byte("and"))])
	f, _, _ := d.Next()
	_ = append(f.Body, "overwritten"...)
	d.Feed([]byte("SEND\n\n\x00")) // joined with the rest of the last one
	if !bytes.Equal(p, before) {
		t.Errorf("fed octets were changed: %q", p)
	}
	if f, ok, err := d.Next(); err != nil || !ok || string(f.Body) != "next" {
		t.Errorf("next frame: %v %v %v", f, ok, err)
	}
}

func TestDecoderBodyAliasesFedOctets(t *testing.T) {
	p := []byte("SEND\n\nbody\x00")
	var d Decoder
	d.Feed(p)
	f, ok, err := d.Next()
	if err != nil || !ok || &f.Body[0] != &p[6] {
		t.Errorf("the body was copied: %v %v", ok, err)
	}
}

func TestDecoderStaysDead(t *testing.T) {
	var d Decoder
	d.Feed([]byte("NONSENSE\n\n\x00"))
	_, _, first := d.Next()
	var syntax *SyntaxError
	if !errors.As(first, &syntax) {
		t.Fatalf("error %v", first)
	}
	d.Feed([]byte("SEND\n\n\x00"))
	for range 2 {
		if f, ok, err := d.Next(); f != nil || ok || err != first {
			t.Errorf("after the error: %v %v %v", f, ok, err)
		}
	}
	d.Release()
	d.Feed([]byte("SEND\n\n\x00"))
	if _, ok, err := d.Next(); !ok || err != nil {
		t.Errorf("after Release: %v %v", ok, err)
	}
}

func TestDecoderBuffered(t *testing.T) {
	var d Decoder
	for _, step := range []struct {
		feed string
		want int
	}{
		{"\n\r", 0}, {"\n", 0}, {"SE", 2}, {"ND\r", 5}, {"\na:b", 9}, {"\n\n", 11}, {"body", 15}, {"\x00", 0},
		{"SEND\ncontent-length:3\n\nab", 25}, {"c", 26}, {"\x00ACK", 3},
	} {
		if _, err := feedAll(&d, step.feed); err != nil {
			t.Fatal(err)
		}
		if got := d.Buffered(); got != step.want {
			t.Errorf("after %q: %d bytes, want %d", step.feed, got, step.want)
		}
	}
	d.Release()
	if d.Buffered() != 0 {
		t.Errorf("after Release: %d bytes", d.Buffered())
	}
}

func TestIdleDecoderHoldsNothing(t *testing.T) {
	var d Decoder
	if _, err := feedAll(&d, "SEND\na:b\n\nbo", "dy\x00\n"); err != nil {
		t.Fatal(err)
	}
	if d.ws != nil || d.in != nil || d.cur != nil {
		t.Errorf("held: %v %v %v", d.ws, d.in, d.cur)
	}
	if size := unsafe.Sizeof(d); size > 200 {
		t.Errorf("a Decoder takes %d bytes", size)
	}
}

func TestUnfinishedFrameIsNoError(t *testing.T) {
	whole := "\r\nSEND\r\ndestination:/a\r\ncontent-length:2\r\n\r\nhi\x00"
	for i := range whole {
		got, err := decode(V12, whole[:i])
		if err != nil || len(got) != 0 {
			t.Errorf("%q: %v %v", whole[:i], list(got), err)
		}
		got, err = decode(V12, whole[:i], whole[i:])
		wantError(t, err, "")
		wantFrames(t, got, frame(CommandSend, "hi", "destination", "/a", "content-length", "2"))
	}
}

func TestEveryCommandIsKnown(t *testing.T) {
	for _, command := range commands {
		for _, eol := range []string{"\n", "\r\n"} {
			got, err := decode(V12, octetwise(command+eol+eol+"\x00")...)
			wantError(t, err, "")
			wantFrames(t, got, frame(command, ""))
		}
	}
	if len(commands) != 15 {
		t.Errorf("%d commands", len(commands))
	}
}

func TestUnknownCommandIsRefusedAtItsFirstWrongOctet(t *testing.T) {
	for _, in := range []string{"G", "send", "SENT", "SEND ", "SEND\rX", "CONNECTEDX", "\x16\x03\x01", "\x00G", " SEND", "UNSUBSCRIBE\r\r", "SEND\x00", "\xef\xbb\xbfSEND"} {
		for _, chunks := range [][]string{{in}, octetwise(in)} {
			_, err := decode(V12, chunks...)
			wantError(t, err, "unknown command")
		}
	}
	for _, in := range []string{"SEN\n", "CONNECT\r\r\n", "\nS\n"} {
		_, err := decode(V12, in)
		wantError(t, err, "unknown command")
	}
}

func TestTrap14FirstHeaderWins(t *testing.T) {
	f := frame(CommandSend, "b", "a", "", "a", "second")
	if v, ok := f.Lookup("a"); v != "" || !ok {
		t.Errorf("a: %q %v", v, ok)
	}
	if v, ok := f.Lookup("A"); v != "" || ok {
		t.Errorf("A: %q %v", v, ok)
	}
	c := f.Clone()
	f.Headers[0].Value, f.Body[0] = "changed", 'X'
	wantFrames(t, []*Frame{c}, frame(CommandSend, "b", "a", "", "a", "second"))
}
